package oauth_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oauth/oauthtest"
	"github.com/caddy-sso/caddy-sso/internal/testclock"
	"github.com/caddy-sso/caddy-sso/session"
)

const (
	callback = "https://game.example/cb"
	secret   = "a secret of many letters"
)

var (
	start    = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	verifier = strings.Repeat("v", 43)
	ada      = session.User{Subject: "7e0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "ada", Email: "ada@example.com", Groups: []string{"players"}}
)

// A world is a server with its store, clock and people.
type world struct {
	*oauth.Server
	t      testing.TB
	clock  *testclock.Clock
	store  *faultystore.Store
	people *oauthtest.People
	audit  *observer.ObservedLogs
}

func newWorld(t testing.TB) *world {
	o := oauthtest.New(t, start, "https://login.example", clientList(t))
	o.Server.Keys = keys.NewRing(keystest.NewVault(), keys.Options{Now: o.Clock.Now, Algorithms: []keys.Algorithm{keys.ES256}})
	return &world{Server: o.Server, t: t, clock: o.Clock, store: o.Store, people: o.People, audit: o.Audit}
}

// restart drops the sessions in memory.
func (w *world) restart() {
	cache := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
	w.t.Cleanup(cache.Close)
	w.Sessions = session.New(cache, session.Policy{})
	w.Grants = oauth.NewGrants(w.store, w.Sessions)
	w.Store = w.store
}

func clients(t testing.TB) *oauth.Clients {
	t.Helper()
	cs, err := oauth.NewClients(clientList(t))
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func clientList(t testing.TB) []*oauth.Client {
	t.Helper()
	return []*oauth.Client{
		{
			ID: "1", Public: true, TokenAlg: keys.ES256,
			RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback), redirectURI(t, "http://127.0.0.1/cb")},
			FailAuthURLs: []oauth.FailAuthURL{failAuthURL(t, "https://game.example/out"), failAuthURL(t, "https://fail.example")},
			Audiences:    []string{"game", "https://api.example/a b+c", "100%"},
			Scopes:       []string{"email", "offline"},
		},
		{ID: "2", Secret: oauth.NewSecret(secret), TokenAlg: keys.ES256, Project: "p", RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback)}, Audiences: []string{"server"}},
		{ID: "3", Public: true, Disabled: true, TokenAlg: keys.ES256, RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback)}},
		{ID: "4", Public: true, AllowNoPKCE: true, TokenAlg: keys.ES256, RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback)}, Audiences: []string{"old"}, Scopes: []string{"*"}},
		{ID: "5", Secret: oauth.NewSecret(secret), Disabled: true, TokenAlg: keys.ES256, RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback)}},
	}
}

func redirectURI(t testing.TB, raw string) oauth.RedirectURI {
	t.Helper()
	r, err := oauth.ParseRedirectURI(raw)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func failAuthURL(t testing.TB, raw string) oauth.FailAuthURL {
	t.Helper()
	f, err := oauth.ParseFailAuthURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// client returns a registered client.
func (w *world) client(id string) *oauth.Client {
	c, ok := w.Clients.Get(id)
	if !ok {
		w.t.Fatalf("no client %s", id)
	}
	return c
}

func (w *world) signIn(u session.User) (string, oauth.SignedIn) {
	w.t.Helper()
	token, s, err := w.Sessions.Begin(w.t.Context(), session.SignIn{User: u})
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Encode(), oauth.SignedIn{Session: s, User: u}
}

// request returns a request of client 1 after change.
func request(change func(*oauth.AuthorizeRequest)) oauth.AuthorizeRequest {
	r := oauth.AuthorizeRequest{
		ResponseType: "code", ClientID: "1", RedirectURI: callback, State: "12345678", Scope: []string{"email"},
		Audience: []string{"game"}, CodeChallenge: oauth.Challenge(verifier), CodeChallengeMethod: "S256",
	}
	if change != nil {
		change(&r)
	}
	return r
}

// code issues a code for a request.
func (w *world) code(in oauth.SignedIn, change func(*oauth.AuthorizeRequest)) string {
	w.t.Helper()
	a, refusal := w.Clients.CheckAuthorize(request(change))
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	code, refusal := w.IssueCode(w.t.Context(), a, in, "192.0.2.1")
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return code
}

// redeem redeems a code as client 1, after change.
func (w *world) redeem(code string, change func(*oauth.CodeRequest)) (*oauth.Redeemed, *oauth.Error) {
	r := oauth.CodeRequest{Client: w.client("1"), Code: code, RedirectURI: callback, Verifier: verifier, From: "192.0.2.1"}
	if change != nil {
		change(&r)
	}
	return w.RedeemCode(w.t.Context(), r)
}

func (w *world) wantActive(g oauth.Grant, want bool) {
	w.t.Helper()
	if active, err := w.Grants.Active(w.t.Context(), g); err != nil || active != want {
		w.t.Errorf("the grant is active: %v (%v)", active, err)
	}
}

func wantKind(t testing.TB, refusal *oauth.Error, kind oauth.Kind) {
	t.Helper()
	if refusal == nil {
		t.Errorf("was not refused, want kind %d", kind)
	} else if refusal.Kind != kind {
		t.Errorf("refused with kind %d (%v), want %d", refusal.Kind, refusal, kind)
	}
}

func query(t testing.TB, uri string) url.Values {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}
