package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// upstream signs Ada in with something of the provider's.
func (w *world) upstream(up session.ProviderSession) (cookie string, k session.Key) {
	w.t.Helper()
	token, s, err := w.Begin(w.t.Context(), session.SignIn{User: ada, Upstream: up})
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Encode(), s.Key()
}

func TestOneNodeIsToldOnceInATimeThatAProviderIsToBeAsked(t *testing.T) {
	onEngines(t, session.Policy{Idle: time.Hour}, func(t *testing.T, w *world) {
		other := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
		t.Cleanup(other.Close)
		second := session.New(other, session.Policy{Idle: time.Hour})
		told := 0
		w.OnRecheck(func(session.Key) { told++ })
		second.OnRecheck(func(session.Key) { told++ })
		cookie, _ := w.upstream(session.ProviderSession{Refresh: "sealed", Every: 2 * time.Hour})
		plain, _ := w.begin()
		for range 6 * 60 {
			w.clock.Advance(time.Minute)
			w.check(cookie)
			w.check(plain)
			if _, err := second.Check(t.Context(), cookie); err != nil {
				t.Fatal(err)
			}
		}
		if told < 2 || told > 3 {
			t.Errorf("told %d times in 6 hours", told)
		}
	})
}

func TestASessionThatIdlesLongIsAskedAboutInTime(t *testing.T) {
	onEngines(t, session.Policy{Idle: 24 * time.Hour}, func(t *testing.T, w *world) {
		told := 0
		w.OnRecheck(func(session.Key) { told++ })
		cookie, _ := w.upstream(session.ProviderSession{Refresh: "sealed", Every: 10 * time.Minute})
		for range 60 {
			w.clock.Advance(time.Minute)
			w.check(cookie)
		}
		if told < 5 || told > 6 {
			t.Errorf("told %d times in an hour", told)
		}
	})
}

func TestAConnectionThatStaysOpenIsAskedAbout(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	told := make(chan session.Key, 10)
	w.OnRecheck(func(k session.Key) { told <- k })
	cookie, key := w.upstream(session.ProviderSession{Refresh: "sealed", Every: 10 * time.Minute})
	_, release := w.Attach(t.Context(), w.check(cookie))
	defer release()
	w.clock.Advance(11 * time.Minute)
	w.cache.Sweep()
	if got := <-told; got != key {
		t.Error("told of another session")
	}
}

func TestARefreshTokenIsReplacedOnlyWhereItIsTheOne(t *testing.T) {
	onEngines(t, session.Policy{Idle: time.Hour}, func(t *testing.T, w *world) {
		cookie, k := w.upstream(session.ProviderSession{ID: "s1", Refresh: "first", Every: time.Minute})
		renew := func(old, next string, want bool) {
			t.Helper()
			if ok, err := w.Renew(t.Context(), k, old, session.ProviderSession{ID: "x", Refresh: next, Every: time.Hour, Asked: 1, Sent: 2, Refused: 3}); ok != want || err != nil {
				t.Errorf("from %.9q to %.9q: %v, %v", old, next, ok, err)
			}
		}
		renew("other", "x", false)
		renew("first", "second", true)
		renew("first", "x", false)
		s, up, err := w.ProviderSession(t.Context(), k)
		if err != nil || up.ID != "s1" || up.Refresh != "second" || up.Every != time.Hour || up.Asked != w.clock.Now().UnixMilli() || up.Sent != 2 || up.Refused != 3 || s.User().Subject != ada.Subject {
			t.Errorf("%+v, %v", up, err)
		}
		renew("second", strings.Repeat("x", 9<<10), true)
		if _, up, err := w.ProviderSession(t.Context(), k); err != nil || up.Refresh != "" || up.ID != "s1" {
			t.Errorf("one that is too long: %.100v, %v", up, err)
		}
		w.check(cookie)
		if err := w.End(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		renew("", "back", false)
		if _, _, err := w.ProviderSession(t.Context(), k); !errors.Is(err, session.ErrNone) {
			t.Error("the session is back:", err)
		}
	})
}

func TestWhatAProviderSaysIsBounded(t *testing.T) {
	w := newWorld(t, session.Policy{})
	for name, c := range map[string]struct{ in, want session.ProviderSession }{
		"all":                  {session.ProviderSession{ID: "s", Refresh: "r", Every: time.Hour}, session.ProviderSession{ID: "s", Refresh: "r", Every: time.Hour}},
		"a long ID":            {session.ProviderSession{ID: strings.Repeat("s", 256)}, session.ProviderSession{}},
		"an ID with a line":    {session.ProviderSession{ID: "s\n"}, session.ProviderSession{}},
		"a long token":         {session.ProviderSession{ID: "s", Refresh: strings.Repeat("r", 9<<10), Every: time.Hour}, session.ProviderSession{ID: "s"}},
		"a token for no time":  {session.ProviderSession{Refresh: "r"}, session.ProviderSession{}},
		"a time without token": {session.ProviderSession{Every: time.Hour}, session.ProviderSession{}},
	} {
		_, k := w.upstream(c.in)
		_, got, err := w.ProviderSession(t.Context(), k)
		got.Asked = 0
		if err != nil || got != c.want {
			t.Errorf("%s: %.200v, %v", name, got, err)
		}
	}
}

func TestTheSignInMethodThatTheUserBelongsToIsRemembered(t *testing.T) {
	w := newWorld(t, session.Policy{})
	u := ada
	u.Signin, u.Linked = "acme", "local"
	token, begun, err := w.Begin(t.Context(), session.SignIn{User: u})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]session.User{"at once": begun.User(), "as read": w.check(token.Encode()).User()} {
		if got.Signin != "acme" || got.Linked != "local" {
			t.Errorf("%s: signed in by %q, linked to %q", name, got.Signin, got.Linked)
		}
	}
}
