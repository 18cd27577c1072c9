package session_test

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-sso/caddy-sso/session"
)

func TestRequestsOfUsersWhoAreGoneEndAndNoOthers(t *testing.T) {
	w := newWorld(t, session.Policy{})
	grace := session.User{Subject: "9d1c0f3a-6b55-4c0b-8a4e-0f2d7f1c9e10", Name: "grace", Signin: "local"}
	attach := func(u session.User) (string, context.Context) {
		token, begun, err := w.Begin(t.Context(), session.SignIn{User: u})
		if err != nil {
			t.Fatal(err)
		}
		ctx, release := w.Attach(t.Context(), begun)
		t.Cleanup(release)
		return token.Encode(), ctx
	}
	cookie, gone := attach(ada)
	_, again := attach(ada)
	_, stays := attach(grace)
	w.CloseRequests(func(u session.User) bool { return u.Subject == ada.Subject })
	for _, ctx := range []context.Context{gone, again} {
		if !errors.Is(context.Cause(ctx), session.ErrEnded) {
			t.Errorf("a request of the user goes on: %v", context.Cause(ctx))
		}
	}
	if stays.Err() != nil {
		t.Error("a request of another user ended")
	}
	if _, err := w.Check(t.Context(), cookie); err != nil {
		t.Errorf("the session ended: %v", err)
	}
}
