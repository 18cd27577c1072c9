package oauth_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// offline signs someone in to client 1 with scope offline.
func (w *world) offline(in oauth.SignedIn) *oauth.Tokens {
	w.t.Helper()
	code := w.code(in, func(r *oauth.AuthorizeRequest) { r.Scope = []string{"email", "offline"} })
	tokens, refusal := w.ExchangeCode(w.t.Context(), oauth.CodeRequest{Client: w.client("1"), Code: code, RedirectURI: callback, Verifier: verifier})
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return tokens
}

func (w *world) claims(tokens *oauth.Tokens) oauth.Claims {
	w.t.Helper()
	payload, err := w.Keys.Verify(w.t.Context(), tokens.Access, keys.ES256)
	if err != nil {
		w.t.Fatal(err)
	}
	var c oauth.Claims
	if err := json.Unmarshal(payload, &c); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) grantOf(tokens *oauth.Tokens) oauth.Grant {
	return oauth.Grant{ID: w.claims(tokens).Grant, Offline: true}
}

// refresh uses a refresh token as client 1, after change.
func (w *world) refresh(token string, change func(*oauth.RefreshRequest)) (*oauth.Tokens, *oauth.Error) {
	r := oauth.RefreshRequest{Client: w.client("1"), Token: token, From: "192.0.2.1"}
	if change != nil {
		change(&r)
	}
	return w.Refresh(w.t.Context(), r)
}

func (w *world) mustRefresh(token string) *oauth.Tokens {
	w.t.Helper()
	tokens, refusal := w.refresh(token, nil)
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return tokens
}

func TestOnlyScopeOfflineGivesARefreshToken(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	if tokens := w.offline(in); tokens.Refresh == "" {
		t.Error("none with scope offline")
	}
	code := w.code(in, nil)
	tokens, refusal := w.ExchangeCode(t.Context(), oauth.CodeRequest{Client: w.client("1"), Code: code, RedirectURI: callback, Verifier: verifier})
	if refusal != nil || tokens.Refresh != "" {
		t.Errorf("%.10q without scope offline (%v)", tokens.Refresh, refusal)
	}
}

func TestARefreshTokenWorksOnceAndGivesTheNext(t *testing.T) {
	w := newWorld(t)
	cookie, in := w.signIn(ada)
	first := w.offline(in)
	if err := w.SignOut(t.Context(), cookie, ""); err != nil { // scope offline outlives it
		t.Fatal(err)
	}
	token := first.Refresh
	for range 5 {
		w.clock.Advance(time.Hour)
		next := w.mustRefresh(token)
		if next.Refresh == token || next.Refresh == "" || next.Access == first.Access {
			t.Fatal("the answer carries no new tokens")
		}
		if c := w.claims(next); c.Subject != ada.Subject || c.Grant != w.claims(first).Grant || c.Email != ada.Email {
			t.Errorf("claims %+v", c)
		}
		if _, refusal := w.VerifyAccess(t.Context(), next.Access); refusal != nil {
			t.Error(refusal)
		}
		token = next.Refresh
	}
}

func TestClass14RefreshReuseEndsTheFamily(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	first := w.offline(in)
	second := w.mustRefresh(first.Refresh)
	third := w.mustRefresh(second.Refresh)
	fourth := w.mustRefresh(third.Refresh)
	w.clock.Advance(oauth.RefreshGrace + time.Second)

	_, refusal := w.refresh(second.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	_, refusal = w.refresh(fourth.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	for _, tokens := range []*oauth.Tokens{first, second, third, fourth} {
		_, refusal := w.VerifyAccess(t.Context(), tokens.Access)
		wantKind(t, refusal, oauth.InvalidToken)
	}
	if n := w.audit.FilterMessage(string(oauth.RefreshReused)).Len(); n != 1 {
		t.Errorf("%d reuses in the audit log", n)
	}
}

// A tab may have refreshed twice before another tab uses the token that both had.
func TestWithinTheGraceAnOldTokenGivesTheLatest(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	first := w.offline(in)
	latest := first.Refresh
	for range 10 {
		latest = w.mustRefresh(latest).Refresh
		w.clock.Advance(time.Second)
	}
	late := w.mustRefresh(first.Refresh)
	w.clock.Advance(time.Hour)
	last := w.mustRefresh(w.mustRefresh(late.Refresh).Refresh)
	w.clock.Advance(oauth.RefreshGrace + time.Second)
	_, refusal := w.refresh(latest, nil) // which was the same as late
	wantKind(t, refusal, oauth.InvalidGrant)
	_, refusal = w.refresh(last.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
}

func TestClass14AnOldTokenAfterTheGraceIsReuse(t *testing.T) {
	for name, uses := range map[string]int{"used twice since": 2, "used more often than any client does": 40} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, in := w.signIn(ada)
			first := w.offline(in)
			latest := first.Refresh
			for range uses {
				latest = w.mustRefresh(latest).Refresh
			}
			if uses == 2 {
				w.clock.Advance(oauth.RefreshGrace + time.Second)
			}
			_, refusal := w.refresh(first.Refresh, nil)
			wantKind(t, refusal, oauth.InvalidGrant)
			_, refusal = w.refresh(latest, nil)
			wantKind(t, refusal, oauth.InvalidGrant)
		})
	}
}

func TestTabsRaceAtNodesWhoseClocksDiffer(t *testing.T) {
	for name, test := range map[string]struct {
		ahead time.Duration
		reuse bool
	}{
		"a little ahead":            {5 * time.Second, false},
		"a little behind":           {-5 * time.Second, false},
		"a clock that was set back": {-time.Hour, true},
		"a clock that is fast":      {time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, in := w.signIn(ada)
			first := w.offline(in)
			w.mustRefresh(w.mustRefresh(first.Refresh).Refresh)
			other := *w.Server
			other.Now = func() time.Time { return w.clock.Now().Add(test.ahead) }
			_, refusal := other.Refresh(t.Context(), oauth.RefreshRequest{Client: w.client("1"), Token: first.Refresh})
			if test.reuse {
				wantKind(t, refusal, oauth.InvalidGrant)
			} else if refusal != nil {
				t.Error(refusal)
			}
		})
	}
}

func TestTabsThatRaceGetTheSameSuccessor(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	first := w.offline(in)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next = map[string]bool{}
	)
	for range 100 {
		wg.Go(func() {
			tokens, refusal := w.Refresh(context.Background(), oauth.RefreshRequest{Client: w.client("1"), Token: first.Refresh})
			if refusal != nil {
				t.Error(refusal)
				return
			}
			presented, err := w.Keys.Unseal(context.Background(), "refresh token", tokens.Refresh)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			next[string(presented)] = true
		})
	}
	wg.Wait()
	if len(next) != 1 {
		t.Errorf("%d successors of one token", len(next))
	}
	w.clock.Advance(oauth.RefreshGrace)
	again := w.mustRefresh(first.Refresh) // the last moment
	w.clock.Advance(time.Hour)
	w.mustRefresh(again.Refresh)
}

func TestClass14TheRequirementsOfARefresh(t *testing.T) {
	tests := map[string]func(w *world, r *oauth.RefreshRequest){
		"another client":  func(w *world, r *oauth.RefreshRequest) { r.Client = w.client("4") },
		"a disabled user": func(w *world, _ *oauth.RefreshRequest) { w.people.Remove(ada) },
		"a changed token": func(_ *world, r *oauth.RefreshRequest) { r.Token = r.Token[4:8] + r.Token[:4] + r.Token[8:] },
		"an empty token":  func(_ *world, r *oauth.RefreshRequest) { r.Token = "" },
		"a megabyte":      func(_ *world, r *oauth.RefreshRequest) { r.Token = strings.Repeat("a", 1<<20) },
		"a client that lost offline": func(w *world, r *oauth.RefreshRequest) {
			c := *w.client("1")
			c.Scopes = []string{"email"}
			r.Client = &c
		},
		"a client that lost a scope, and has openid": func(w *world, r *oauth.RefreshRequest) {
			c := *w.client("1")
			c.Scopes = []string{"openid", "offline"}
			r.Client = &c
		},
		"a client that lost the audience": func(w *world, r *oauth.RefreshRequest) {
			c := *w.client("1")
			c.Audiences = []string{"other"}
			r.Client = &c
		},
		"an ended grant": func(w *world, r *oauth.RefreshRequest) {
			if _, err := w.Grants.EndUser(w.t.Context(), ada.Subject); err != nil {
				w.t.Fatal(err)
			}
		},
		"a token that was not used for too long": func(w *world, _ *oauth.RefreshRequest) { w.clock.Advance(oauth.RefreshLifetime) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, in := w.signIn(ada)
			first := w.offline(in)
			_, refusal := w.refresh(first.Refresh, func(r *oauth.RefreshRequest) { change(w, r) })
			wantKind(t, refusal, oauth.InvalidGrant)
			if n := w.audit.FilterMessage(string(oauth.TokenRefused)).Len(); n != 1 {
				t.Errorf("%d refusals in the audit log", n)
			}
		})
	}
}

func TestARefusedRefreshDoesNotUseUpTheToken(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	first := w.offline(in)
	if _, refusal := w.refresh(first.Refresh, func(r *oauth.RefreshRequest) { r.Client = w.client("4") }); refusal == nil {
		t.Fatal("another client's token was refreshed")
	}
	w.store.Down(true)
	_, refusal := w.refresh(first.Refresh, nil)
	wantKind(t, refusal, oauth.Internal)
	w.store.Down(false)
	w.mustRefresh(first.Refresh)
}

func TestARefreshMayAskForLess(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	first := w.offline(in)
	less, refusal := w.refresh(first.Refresh, func(r *oauth.RefreshRequest) { r.Scope = []string{} })
	if refusal != nil {
		t.Fatal(refusal)
	}
	if c := w.claims(less); c.Email != "" || strings.Join(c.Scopes, " ") != "offline" {
		t.Errorf("claims %+v", c)
	}
	if c := w.claims(w.mustRefresh(less.Refresh)); c.Email != ada.Email {
		t.Error("the grant was narrowed for good")
	}
}

func TestARefreshHasTheCurrentDataOfTheUser(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	first := w.offline(in)
	now := ada
	now.Email = "new@example.com"
	w.people.Change(now)
	if c := w.claims(w.mustRefresh(first.Refresh)); c.Email != now.Email {
		t.Errorf("claims %+v", c)
	}
}

func TestAUserHasABoundedNumberOfOfflineGrants(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	oldest := w.offline(in)
	for range 64 {
		w.offline(in)
	}
	_, refusal := w.refresh(oldest.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	if n, err := w.Grants.EndUser(t.Context(), ada.Subject); err != nil || n != 64 {
		t.Errorf("%d grants ended (%v), want 64", n, err)
	}
	if n, err := w.Grants.EndUser(t.Context(), ada.Subject); err != nil || n != 0 {
		t.Errorf("%d grants ended twice (%v)", n, err)
	}
}

func TestClass14AnAccessTokenOfADisabledUserIsRefusedAtOnce(t *testing.T) {
	for name, signedOut := range map[string]bool{"with a session": false, "after the session": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, in := w.signIn(ada)
			tokens := w.offline(in)
			if signedOut {
				if err := w.SignOut(t.Context(), cookie, ""); err != nil {
					t.Fatal(err)
				}
			}
			v, refusal := w.VerifyAccess(t.Context(), tokens.Access)
			if refusal != nil || v.User.Subject != ada.Subject {
				t.Fatalf("%+v, %v", v, refusal)
			}
			w.people.Remove(session.User{Subject: ada.Subject})
			_, refusal = w.VerifyAccess(t.Context(), tokens.Access)
			wantKind(t, refusal, oauth.InvalidToken)
		})
	}
}
