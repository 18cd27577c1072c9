package portal_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/background"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// become makes other accounts count.
func (f *fixture) become(accounts ...local.Account) {
	f.hosted.Methods[0].(*local.Method).TakeOver(f.accounts(accounts...))
}

func (f *fixture) disabling() (*background.MethodUsers, *observer.ObservedLogs) {
	core, log := observer.New(zapcore.WarnLevel)
	d := &background.Disabled{Server: f.hosted.Server, Methods: f.hosted.Methods, Log: zap.New(core)}
	return &background.MethodUsers{Disabled: d, Method: f.hosted.Methods[0].(*local.Method)}, log
}

func TestClass14WhatADisabledUserHasIsEndedOnceTheStoreTakesIt(t *testing.T) {
	f := newFixture(t)
	demo := local.Account{Name: "demo", Hash: f.work.Hash(t, 10, "demo password")}
	ann := local.Account{Name: "Ann", Hash: f.work.Hash(t, 10, "ann password")}
	bob := local.Account{Name: "bob", Hash: f.work.Hash(t, 10, "bob password")}
	f.become(demo, ann, bob)
	cookies := map[string]string{}
	for _, a := range []local.Account{demo, ann, bob} {
		v := f.visitor()
		want(t, v.try(a.Name, strings.ToLower(a.Name)+" password"), http.StatusOK)
		cookies[a.Name] = v.session()
	}
	client, _ := f.hosted.Server.Clients.Get("1")
	client.Scopes = append(client.Scopes, "offline")
	persistent := f.persistent(client, cookies["demo"])
	core, audit := observer.New(zapcore.InfoLevel)
	f.hosted.Server.Audit = oauth.NewAudit(zap.New(core))
	d, log := f.disabling()
	d.Look(t.Context())
	disabled := []local.Account{demo, ann, bob}
	disabled[0].Disabled, disabled[1].Disabled = true, true
	f.become(disabled...)
	f.store.Down(true)
	for range 3 {
		d.Look(t.Context())
	}
	if n := log.Len(); n != 1 {
		t.Errorf("%d lines in the log, not one", n)
	}
	f.store.Down(false)
	d.Look(t.Context())
	f.become(demo, ann, bob)
	for name, there := range map[string]string{"demo": "", "Ann": "", "bob": "bob"} {
		if got := f.who(cookies[name]); got != there {
			t.Errorf("%s has the session of %q", name, got)
		}
	}
	if _, refusal := f.hosted.Server.Refresh(t.Context(), oauth.RefreshRequest{Client: client, Token: persistent}); refusal == nil || refusal.Kind != oauth.InvalidGrant {
		t.Errorf("the persistent grant: %v", refusal)
	}
	ended := map[any]any{}
	for _, e := range audit.FilterMessage(string(oauth.SessionEnded)).All() {
		ended[e.ContextMap()["user"]] = e.ContextMap()["why"]
	}
	if len(ended) != 2 || ended["demo"] != "the user is disabled: all 1, and 1 persistent grants" || ended["Ann"] == nil {
		t.Errorf("the audit log has %v", ended)
	}

	// Once a user was enabled, being disabled counts again.
	d.Look(t.Context())
	v := f.visitor()
	want(t, v.try("demo", "demo password"), http.StatusOK)
	f.become(disabled...)
	d.Look(t.Context())
	f.become(demo)
	if got := f.who(v.session()); got != "" {
		t.Errorf("%s has a session the second time", got)
	}
}

// persistent is the refresh token of a grant with scope offline.
func (f *fixture) persistent(client *oauth.Client, cookie string) string {
	f.t.Helper()
	in, err := f.hosted.Server.SignedIn(f.t.Context(), cookie)
	if err != nil {
		f.t.Fatal(err)
	}
	tokens, refusal := f.hosted.Server.IssueTokens(f.t.Context(),
		&oauth.Authorization{Client: client, Scopes: []string{"offline"}, Audience: client.Audiences}, in, f.from)
	if refusal != nil || tokens.Refresh == "" {
		f.t.Fatalf("there is no refresh token: %v", refusal)
	}
	return tokens.Refresh
}

// meanwhile is a method during whose checks something happens.
type meanwhile struct {
	*local.Method
	happens func()
}

func (m meanwhile) Check(ctx context.Context, c signin.Credentials) (session.User, error) {
	u, err := m.Method.Check(ctx, c)
	m.happens()
	return u, err
}

func TestClass14ASignInThatIsUnderWayWhenTheUserIsDisabledLeavesNothing(t *testing.T) {
	f := newFixture(t)
	d, _ := f.disabling()
	demo := local.Account{Name: "demo", Hash: f.work.Hash(t, 10, "demo password")}
	off := demo
	off.Disabled = true
	f.become(demo)
	local := f.hosted.Methods[0].(*local.Method)
	f.use(meanwhile{local, func() {
		local.TakeOver(f.accounts(off))
		d.Look(t.Context())
	}})
	v := f.visitor()
	if w := v.try("demo", "demo password"); w.Code == http.StatusOK || v.session() != "" {
		t.Errorf("status %d", w.Code)
	}
	u, _ := local.Find("demo")
	left, err := f.hosted.Server.Sessions.OfUser(t.Context(), u.Subject)
	if err != nil || len(left) > 0 {
		t.Errorf("%d sessions are left, %v", len(left), err)
	}
}

func TestASessionKnowsTheCredentialThatItBeganWith(t *testing.T) {
	f := newFixture(t)
	local := f.hosted.Methods[0].(*local.Method)
	now, _ := local.Find("demo")
	ann, _ := local.Find("ann")
	costly, _ := local.Find("costly")
	for name, c := range map[string]struct {
		mark string
		may  bool
	}{
		"this one":      {now.Mark, true},
		"another":       {ann.Mark, false},
		"one of before": {"x", false},
		"nobody knows":  {"", false},
	} {
		u := session.User{Subject: now.Subject, Signin: "local", Mark: c.mark}
		got, may := f.hosted.Methods.Current(u)
		if may != c.may || (may && got.Mark != now.Mark) {
			t.Errorf("%s: %v, %+v", name, may, got)
		}
	}
	if len(now.Mark) != 22 || slices.Contains([]string{now.Mark}, costly.Mark) {
		t.Errorf("the mark is %q", now.Mark)
	}
}
