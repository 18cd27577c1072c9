package oauth_test

import (
	"errors"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// begin signs Ada in with a browser that has a cookie, and returns the new cookie.
func (w *world) begin(cookie string) (string, *session.Session) {
	w.t.Helper()
	token, s, err := w.BeginSession(w.t.Context(), session.SignIn{User: ada, From: "192.0.2.1"}, cookie)
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Encode(), s
}

func (w *world) wantEvents(why string, ended ...*session.Session) {
	w.t.Helper()
	events := w.audit.FilterMessage(string(oauth.SessionEnded)).TakeAll()
	w.audit.TakeAll()
	if len(events) != len(ended) {
		w.t.Fatalf("%d sessions ended in the audit log, not %d", len(events), len(ended))
	}
	for i, e := range events {
		fields := e.ContextMap()
		got, _ := fields["why"].(string)
		if fields["session"] != ended[i].ID() || fields["user"] != ada.Name || fields["from"] != "192.0.2.1" || got != why {
			w.t.Errorf("the event is %v", fields)
		}
	}
}

func TestTheAuditLogSaysWhichSessionWasTooMany(t *testing.T) {
	w := newWorld(t)
	cache := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
	defer cache.Close()
	w.Sessions = session.New(cache, session.Policy{PerUser: 2})
	oldest, first := w.begin("")
	w.begin("")
	w.wantEvents("")
	w.begin("")
	w.wantEvents("the user has too many sessions", first)
	if _, err := w.SignedIn(t.Context(), oldest); !errors.Is(err, session.ErrNone) {
		t.Error("it goes on:", err)
	}
}

func TestASignInEndsTheOldSessionOfItsBrowser(t *testing.T) {
	w := newWorld(t)
	cache := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
	defer cache.Close()
	w.Sessions = session.New(cache, session.Policy{PerUser: 2})
	phone, _ := w.begin("")
	laptop, before := w.begin("")
	again, _ := w.begin(laptop)
	w.wantEvents("", before)
	for cookie, want := range map[string]bool{phone: true, laptop: false, again: true} {
		if _, err := w.SignedIn(t.Context(), cookie); (err == nil) != want {
			t.Errorf("signed in: %v, want %v", err, want)
		}
	}
}
