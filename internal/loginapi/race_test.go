package loginapi_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestAHundredConcurrentRefreshesGiveOneFamily(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	first := w.token(redemption(w.code(cookie, game("scope", "offline"))))
	_, refresh := w.access(first)
	grant := w.accessToken(first, keys.RS256).Grant
	answers := make([]answer, 100)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = w.token(refreshing(refresh)) })
	}
	all.Wait()
	successors := make([]string, len(answers))
	for i, a := range answers {
		var access string
		if access, successors[i] = w.access(a); w.accessToken(a, keys.RS256).Grant != grant {
			t.Errorf("answer %d is of another grant", i)
		}
		if i%20 == 0 {
			w.wantValid(true, access)
		}
	}
	// All of them are the same token: when one was used, within the grace every
	// other still leads to the same next one, and after it none does.
	w.refreshToken(w.token(refreshing(successors[0])))
	w.Clock.Advance(oauth.RefreshGrace)
	w.refreshToken(w.token(refreshing(successors[99])))
	w.Clock.Advance(time.Millisecond)
	wantError(t, w.token(refreshing(successors[50])), 400, "010-023", badRefresh)
	if n := w.Audit.FilterMessage(string(oauth.GrantEnded)).Len(); n != 1 {
		t.Errorf("%d grants ended", n)
	}
}

func TestClass14ReuseEndsTheFamilyAndTheTokensItGave(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	one, refresh := w.tokens(cookie, "offline")
	two, next := w.access(w.token(refreshing(refresh)))
	three, next := w.access(w.token(refreshing(next)))
	w.wantValid(true, one, two, three)
	w.Clock.Advance(oauth.RefreshGrace + time.Second)
	wantError(t, w.token(refreshing(refresh)), 400, "010-023", badRefresh)
	w.wantValid(false, one, two, three)
	wantError(t, w.token(refreshing(next)), 400, "010-023", badRefresh)
	if a := w.Get("/api/oauth2/sso?"+game().Encode(), cookie); a.Status != http.StatusOK {
		t.Errorf("the session ended, too: %d %s", a.Status, a.Body)
	}
}

func TestClass14WhatEndsARefreshToken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		happen func(w *world, cookie, access string)
		ends   bool
	}{
		{"nothing", func(*world, string, string) {}, false},
		{"the session ends", func(w *world, cookie, _ string) { w.Get("/api/oauth2/clear_sso", cookie) }, false},
		{"the session ends by its token", func(w *world, _, access string) {
			w.Send(http.MethodGet, "/api/oauth2/logout?sessions=sso", "", bearer(access)...)
		}, false},
		{"signing out everywhere", func(w *world, _, access string) {
			w.Send(http.MethodGet, "/api/oauth2/logout?sessions=all", "", bearer(access)...)
		}, true},
		{"revocation", func(w *world, _, access string) { w.revoke(revoking(access)) }, true},
		{"its user is disabled", func(w *world, _, _ string) { w.People.Remove(ada) }, true},
		{"its client is gone", func(w *world, _, _ string) { w.Server.Clients = mustClients(w.T) }, true},
		{"its time is over", func(w *world, _, _ string) { w.Clock.Advance(oauth.RefreshLifetime + time.Second) }, true},
		{"almost", func(w *world, _, _ string) { w.Clock.Advance(oauth.RefreshLifetime - time.Second) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(ada)
			access, refresh := w.tokens(cookie, "offline")
			tt.happen(w, cookie, access)
			a := w.token(refreshing(refresh))
			if ended := a.Status != http.StatusOK; ended != tt.ends {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

// mustClients are none.
func mustClients(t testing.TB) *oauth.Clients {
	cs, err := oauth.NewClients(nil)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

// What clients of the hosted API send, and what answers them.
func TestQuirksOfRealClients(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for name, send := range map[string]func() answer{
		"response_type twice, and the project": func() answer {
			return w.Get(authPath+"?response_type=code&projectId=7&trackId=x&"+game().Encode(), cookie)
		},
		"a base URL that ends in a slash": func() answer { return w.Get("/api//oauth2/auth?"+game().Encode(), cookie) },
		"an empty refresh_token beside a code": func() answer {
			return w.token(redemption(w.code(cookie, game()), "refresh_token", "", "scope", ""))
		},
		"a charset in the form": func() answer {
			return w.Send(http.MethodPost, "/api//oauth2/token", redemption(w.code(cookie, game())).Encode(), "Content-Type", form+"; charset=UTF-8")
		},
		"a login with client_id and scope alone": func() answer {
			return w.login("/api/oauth2/login/token", url.Values{"client_id": {"1"}, "scope": {"offline"}}, right)
		},
		"a login with the charset": func() answer {
			return w.Send(http.MethodPost, loginPath+"?"+game().Encode(), `{"username":"ada","password":"right","remember_me":true}`, "Content-Type", "application/json;charset=UTF-8")
		},
		"a login without the audience": func() answer { return w.login(loginPath, game("audience", "-", "scope", "-"), right) },
		"cookies from another origin": func() answer {
			return w.Get("/api/oauth2/sso?"+game().Encode(), cookie, "Origin", "https://game.example")
		},
	} {
		t.Run(name, func(t *testing.T) {
			if a := send(); a.Status != http.StatusOK && a.Status != http.StatusFound {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wantError(t, w.token(refreshing("")), 400, "0", "refresh_token is missing.")
}
