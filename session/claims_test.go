package session_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

func TestClaimsAreReadAsTheyWereKept(t *testing.T) {
	c := session.Claims{}.With("department", "engineering", "games").Without("roles").With("none").With("empty", "")
	for name, want := range map[string]struct {
		values []string
		read   bool
	}{
		"department": {[]string{"engineering", "games"}, true},
		"roles":      {nil, false},
		"none":       {nil, true},
		"empty":      {[]string{""}, true},
		"other":      {nil, false},
		"":           {nil, false},
		"depart":     {nil, false},
	} {
		if values, read := c.Values(name); !slices.Equal(values, want.values) || read != want.read {
			t.Errorf("%q: got %q, %v", name, values, read)
		}
		for _, value := range []string{"engineering", "games", "", "engineer"} {
			if has, read := c.Has(name, value); has != slices.Contains(want.values, value) || read != want.read {
				t.Errorf("%q has %q: got %v, %v", name, value, has, read)
			}
		}
	}
	if !c.Unread("roles") || c.Unread("other") || c.Unread("department") {
		t.Error("a claim that was read, or not asked for, is not one that could not be read")
	}
	if first, more := c.First("department"); first != "engineering" || !more {
		t.Errorf("the first value is %q, %v", first, more)
	}
	if c = c.With("department", "art"); c.Len() != 4 {
		t.Errorf("a claim that is replaced stays: %d claims", c.Len())
	}
	if has, _ := c.Has("department", "engineering"); has {
		t.Error("the old value of a claim is kept")
	}
	if n := testing.AllocsPerRun(100, func() {
		c.Has("department", "art")
		c.First("department")
		c.Unread("roles")
	}); n != 0 {
		t.Errorf("reading claims allocates %v times", n)
	}
}

// A rule that denies by a claim must not be evaded by a claim that is too large, or by
// bytes with a meaning in the stored form.
func TestAClaimThatCannotBeKeptCountsAsUnread(t *testing.T) {
	for name, values := range map[string][]string{
		"too large":   {strings.Repeat("x", session.MaxClaimSize)},
		"in all":      {strings.Repeat("x", session.MaxClaimSize/2), strings.Repeat("y", session.MaxClaimSize/2)},
		"a separator": {"a\x03b"},
		"a claim":     {"a\x01admin\x03yes"},
		"a NUL":       {"a\x00b"},
		"no UTF-8":    {"a\xff"},
	} {
		c := session.Claims{}.With("role", "user").With("role", values...)
		if got, read := c.Values("role"); read || len(got) != 0 || !c.Unread("role") {
			t.Errorf("%s: got %q, %v", name, got, read)
		}
		if has, _ := c.Has("admin", "yes"); has {
			t.Errorf("%s: a value became a claim", name)
		}
	}
	var c session.Claims
	for i := range session.MaxClaims + 5 {
		c = c.With(strings.Repeat("n", i+1), "v")
	}
	if c.Len() != session.MaxClaims+2 {
		t.Errorf("%d claims are kept", c.Len())
	}
	if _, read := c.Values(strings.Repeat("n", session.MaxClaims+3)); read {
		t.Error("a claim beyond the bound counts as read")
	}
}

func TestASessionKeepsClaimsAndTheTimeOfAuthentication(t *testing.T) {
	w := newWorld(t, session.Policy{})
	user := ada
	user.Avatar, user.Mark = "https://pictures.example/a.png", "mark"
	user.Claims = session.Claims{}.With("department", "engineering").Without("roles")
	at := w.clock.Now().Add(-90 * time.Minute)
	token, begun, err := w.Begin(t.Context(), session.SignIn{User: user, AuthTime: at, Agent: "agent", From: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*session.Session{"begun": begun, "read": w.check(token.Encode())} {
		if got := s.User(); got.Claims != user.Claims || got.Mark != "mark" || got.Avatar != user.Avatar || !slices.Equal(got.Groups, user.Groups) {
			t.Errorf("%s: %+v", name, got)
		}
		if !s.AuthTime().Equal(at) {
			t.Errorf("%s: authenticated at %v, want %v", name, s.AuthTime(), at)
		}
	}
	if begun.Agent() != "agent" || begun.From() != "192.0.2.1" {
		t.Errorf("the device is %q, %q", begun.Agent(), begun.From())
	}
}

func TestATimeOfAuthenticationToComeIsNow(t *testing.T) {
	w := newWorld(t, session.Policy{})
	for _, at := range []time.Time{{}, w.clock.Now().Add(time.Hour), time.Unix(-5, 0)} {
		_, begun, err := w.Begin(t.Context(), session.SignIn{User: ada, AuthTime: at})
		if err != nil || !begun.AuthTime().Equal(begun.Begun()) {
			t.Errorf("%v: authenticated at %v, begun at %v, %v", at, begun.AuthTime(), begun.Begun(), err)
		}
	}
}

// What a provider says of a user later takes effect at the next request, at every node,
// and only while the refresh token is the one that was used.
func TestARenewalChangesTheUserOfASession(t *testing.T) {
	w := newWorld(t, session.Policy{})
	user := ada
	user.Claims = session.Claims{}.With("department", "art")
	token, begun, err := w.Begin(t.Context(), session.SignIn{User: user, Upstream: session.ProviderSession{Refresh: "old", Every: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	cookie := token.Encode()
	other := session.New(session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now}), session.Policy{Format: format})
	w.check(cookie)
	if _, err := other.Check(t.Context(), cookie); err != nil {
		t.Fatal(err)
	}
	now := user
	now.Groups, now.Email, now.Claims = []string{"games"}, "new@example.com", session.Claims{}.With("department", "games")
	if is, err := w.RenewUser(t.Context(), begun.Key(), "another", session.ProviderSession{Refresh: "new", Every: time.Hour}, now); is || err != nil {
		t.Fatalf("renewed by another token: %v, %v", is, err)
	}
	if is, err := w.RenewUser(t.Context(), begun.Key(), "old", session.ProviderSession{Refresh: "new", Every: time.Hour}, now); !is || err != nil {
		t.Fatalf("%v, %v", is, err)
	}
	changed := func(s *session.Session) bool {
		u := s.User()
		return slices.Equal(u.Groups, now.Groups) && u.Email == now.Email && u.Claims == now.Claims && u.Name == ada.Name
	}
	if s := w.check(cookie); !changed(s) {
		t.Errorf("the user is %+v", s.User())
	}
	eventually(t, "the other node knows", func() bool {
		s, err := other.Check(t.Context(), cookie)
		return err == nil && changed(s)
	})
}
