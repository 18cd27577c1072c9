package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestASiteSessionLeadsToItsSSOSession(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		_, sso := w.begin()
		site, err := w.BeginSite(t.Context(), sso, "wiki", "tx-1")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // read, then from memory
			found, err := w.CheckSite(t.Context(), site.Encode(), "wiki")
			if err != nil || found.Key() != sso.Key() {
				t.Fatal(err)
			}
			if tx, ok := w.SiteTransaction(t.Context(), site.Encode(), "wiki"); !ok || tx != "tx-1" {
				t.Errorf("%q, %v", tx, ok)
			}
		}
	})
}

func TestClass19ASiteSessionOfOneClientIsNotValidForAnother(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.begin()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "tx")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, client := range []string{"forge", "", "Wiki", "wiki "} {
			if _, err := w.CheckSite(t.Context(), site.Encode(), client); err != session.ErrNone {
				t.Errorf("%q: %v", client, err)
			}
			if _, ok := w.SiteTransaction(t.Context(), site.Encode(), client); ok {
				t.Errorf("%q is given the transaction", client)
			}
		}
		if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.BeginSite(t.Context(), sso, "", ""); err == nil {
		t.Error("a site session for no client")
	}
}

func TestClass19NobodySeesAnothersSession(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cookies := map[string]string{}
	for i := range 300 {
		subject := fmt.Sprint("user ", i)
		token, sso, err := w.Begin(t.Context(), session.SignIn{User: session.User{Subject: subject}})
		if err != nil {
			t.Fatal(err)
		}
		site, err := w.BeginSite(t.Context(), sso, "wiki", subject)
		if err != nil {
			t.Fatal(err)
		}
		cookies[token.Encode()] = subject
		cookies[site.Encode()] = subject
	}
	for range 2 {
		for cookie, subject := range cookies {
			s, err := w.Check(t.Context(), cookie)
			if err != nil {
				s, err = w.CheckSite(t.Context(), cookie, "wiki")
			}
			if err != nil || s.User().Subject != subject {
				t.Fatalf("%s is taken for %v, %v", subject, s, err)
			}
		}
	}
}

func TestASiteCookieIsUselessAtThePortalAndTheOtherWayRound(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		cookie, sso := w.known()
		site, err := w.BeginSite(t.Context(), sso, "wiki", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Check(t.Context(), site.Encode()); err != session.ErrNone {
			t.Error("a site cookie at the portal:", err)
		}
		if _, err := w.Lookup(t.Context(), site.Key()); err != session.ErrNone {
			t.Error("a site session's key at the portal:", err)
		}
		if _, err := w.CheckSite(t.Context(), cookie, "wiki"); err != session.ErrNone {
			t.Error("a session cookie at a site:", err)
		}
	})
}

func TestEndingASiteSessionEndsOnlyThat(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		cookie, sso := w.known()
		wiki, err := w.BeginSite(t.Context(), sso, "wiki", "")
		if err != nil {
			t.Fatal(err)
		}
		forge, err := w.BeginSite(t.Context(), sso, "forge", "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, release := w.Attach(t.Context(), sso)
		defer release()
		for range 2 {
			if err := w.EndSite(t.Context(), wiki.Encode()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.CheckSite(t.Context(), wiki.Encode(), "wiki"); err != session.ErrNone {
				t.Error(err)
			}
		}
		if _, err := w.CheckSite(t.Context(), forge.Encode(), "forge"); err != nil {
			t.Error(err)
		}
		w.check(cookie)
		if err := ctx.Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestASiteSessionEndedOnAnotherNodeIsNone(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.begin()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != nil {
		t.Fatal(err)
	}
	k := site.Key()
	if _, _, err := w.store.Store.Take(t.Context(), storeKey("site:", k)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != session.ErrNone {
		t.Error(err)
	}
}

func TestSiteRecordsThatDoNotDecodeAreNoSessions(t *testing.T) {
	for name, value := range map[string]string{
		"not JSON":    `x`,
		"no client":   `{"v":1,"session":"%x"}`,
		"no session":  `{"v":1,"client":"wiki"}`,
		"a short key": `{"v":1,"session":"00","client":"wiki"}`,
		"no hex":      `{"v":1,"session":"zz%.31x","client":"wiki"}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, session.Policy{})
			_, sso := w.begin()
			token := session.Token{4}
			k, ssoKey := token.Key(), sso.Key()
			if name != "not JSON" && name != "no session" && name != "a short key" {
				value = fmt.Sprintf(value, ssoKey[:])
			}
			if err := w.store.Put(t.Context(), storeKey("site:", k), []byte(value), time.Hour); err != nil {
				t.Fatal(err)
			}
			if _, err := w.CheckSite(t.Context(), token.Encode(), "wiki"); err != session.ErrNone {
				t.Error(err)
			}
			if w.logs.Load() == 0 {
				t.Error("nobody is told")
			}
		})
	}
}

func TestASiteSessionIsAUseOfItsSSOSessionAndEndsNoLater(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour, Lifetime: 4 * time.Hour})
	cookie, sso := w.begin()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		w.clock.Advance(30 * time.Minute)
		if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != nil {
			t.Fatal(err)
		}
	}
	w.check(cookie)
	w.clock.Advance(30 * time.Minute)
	if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != session.ErrNone {
		t.Error(err)
	}
	if _, err := w.BeginSite(t.Context(), sso, "wiki", ""); !errors.Is(err, session.ErrNone) {
		t.Error("a site session of a session that is over:", err)
	}
}

func TestABeginSiteOrEndSiteThatFailsSaysSo(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.begin()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if token, err := w.BeginSite(cancelled, sso, "wiki", ""); !errors.Is(err, context.Canceled) || token != (session.Token{}) {
		t.Error(err)
	}
	w.store.down.Store(true)
	if token, err := w.BeginSite(t.Context(), sso, "wiki", ""); !errors.Is(err, storage.ErrUnavailable) || token != (session.Token{}) {
		t.Error(err)
	}
	if err := w.EndSite(t.Context(), site.Encode()); !errors.Is(err, storage.ErrUnavailable) {
		t.Error(err)
	}
}

func TestClass24AnSSOSessionHasABoundedNumberOfSiteSessions(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.begin()
	const bound = 64
	var cookies []string
	for i := range bound + 10 {
		site, err := w.BeginSite(t.Context(), sso, fmt.Sprint("client ", i%3), "tx")
		if err != nil {
			t.Fatal(err)
		}
		cookies = append(cookies, site.Encode())
		if _, err := w.CheckSite(t.Context(), site.Encode(), fmt.Sprint("client ", i%3)); err != nil {
			t.Fatalf("the newest, %d: %v", i, err)
		}
	}
	for i, cookie := range cookies {
		_, err := w.CheckSite(t.Context(), cookie, fmt.Sprint("client ", i%3))
		if i < 10 && !errors.Is(err, session.ErrNone) {
			t.Errorf("number %d of %d: %v, and it is one too many", i, len(cookies), err)
		}
		if i >= 10 && err != nil {
			t.Errorf("number %d of %d: %v", i, len(cookies), err)
		}
	}
	if got := w.stored(t, "site:"); got != bound {
		t.Errorf("%d are stored, not %d", got, bound)
	}
}

func TestClass16TheEndOfAnSSOSessionLeavesNothingInTheStore(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		_, sso := w.begin()
		for i := range 5 {
			if _, err := w.BeginSite(t.Context(), sso, fmt.Sprint("client ", i), "tx"); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(t.Context(), sso.Key()); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Millisecond) // an empty list expires
		if got := w.stored(t, ""); got != 0 {
			t.Errorf("%d values are left", got)
		}
	})
}

func TestTabsThatFinishAtOnceAllHaveTheirSiteSession(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		_, sso := w.begin()
		tokens := make(chan session.Token)
		for range 20 {
			go func() {
				site, err := w.BeginSite(t.Context(), sso, "wiki", "tx")
				if err != nil {
					t.Error(err)
				}
				tokens <- site
			}()
		}
		for range 20 {
			if _, err := w.CheckSite(t.Context(), (<-tokens).Encode(), "wiki"); err != nil {
				t.Error(err)
			}
		}
	})
}
