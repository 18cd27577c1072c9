package oauth_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
)

// asking is a world whose client 6 asks for consent once, and may request any scope.
func asking(t *testing.T, w *world) *world {
	t.Helper()
	all := []*oauth.Client{{
		ID: "6", Name: "Third party", Public: true, TokenAlg: keys.ES256, RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback)},
		Audiences: []string{"6"}, Scopes: []string{"*"}, Consent: oauth.ConsentFirst,
	}}
	cs, err := oauth.NewClients(all)
	if err != nil {
		t.Fatal(err)
	}
	w.Clients = cs
	return w
}

func (w *world) asks(scopes ...string) *oauth.Authorization {
	w.t.Helper()
	a, refusal := w.Clients.CheckAuthorize(request(func(r *oauth.AuthorizeRequest) {
		r.ClientID, r.Audience, r.Scope = "6", []string{"6"}, append([]string{}, scopes...)
	}))
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return a
}

// getsCode reports whether a request gets a code.
func (w *world) getsCode(a *oauth.Authorization, in oauth.SignedIn) bool {
	w.t.Helper()
	code, refusal := w.IssueCode(w.t.Context(), a, in, "")
	if refusal != nil && refusal.Kind != oauth.ConsentRequired {
		w.t.Fatal(refusal)
	}
	return code != ""
}

func (w *world) allow(a *oauth.Authorization, in oauth.SignedIn) {
	w.t.Helper()
	if err := w.Allow(w.t.Context(), a, in, ""); err != nil {
		w.t.Fatal(err)
	}
}

// consents returns the stored consents by key.
func (w *world) consents() map[string][]byte {
	w.t.Helper()
	all := map[string][]byte{}
	err := w.store.Scan(w.t.Context(), "consent:", func(key string, value []byte) error {
		all[key] = slices.Clone(value)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func TestAConsentBelongsToOneUserAndIsKeptForAYear(t *testing.T) {
	w := asking(t, newWorld(t))
	_, in := w.signIn(ada)
	if w.getsCode(w.asks("email"), in) {
		t.Fatal("a code without consent")
	}
	w.allow(w.asks("email"), in)
	eve := ada
	eve.Subject = "0f8fad5b-d9cb-469f-a165-70867728950e"
	_, hers := w.signIn(eve)
	for range 2 {
		if !w.getsCode(w.asks("email"), in) || !w.getsCode(w.asks(), in) || w.getsCode(w.asks("email", "profile"), in) || w.getsCode(w.asks("email"), hers) {
			t.Fatal("it is not what was allowed")
		}
	}
	w.clock.Advance(366*24*time.Hour - time.Minute)
	if _, in = w.signIn(ada); !w.getsCode(w.asks("email"), in) {
		t.Error("it is forgotten too soon")
	}
	w.clock.Advance(2 * time.Minute)
	if w.getsCode(w.asks("email"), in) {
		t.Error("it is remembered for longer")
	}
}

func TestConsentsOfBothFormatsAreAccepted(t *testing.T) {
	w := asking(t, newWorld(t))
	both := []records.Format{records.JSON, records.CBOR}
	for _, before := range both {
		for _, now := range both {
			_, in := w.signIn(session.User{Subject: fmt.Sprint(before, now), Name: "ada", Mark: "m"})
			w.written(before)
			w.allow(w.asks("email"), in)
			w.written(now)
			if !w.getsCode(w.asks("email"), in) {
				t.Fatalf("a consent of format %d is not accepted", before)
			}
			w.allow(w.asks("profile"), in)
			if !w.getsCode(w.asks("email", "profile"), in) {
				t.Errorf("added to in format %d, one of format %d does not have both", now, before)
			}
		}
	}
	formats := map[records.Format]int{}
	for _, value := range w.consents() {
		formats[records.FormatOf(value)]++
	}
	if formats[records.JSON] == 0 || formats[records.CBOR] == 0 {
		t.Errorf("formats %v", formats)
	}
}

// written sets the format of new records.
func (w *world) written(f records.Format) {
	cache := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
	w.t.Cleanup(cache.Close)
	w.Sessions = session.New(cache, session.Policy{Format: f})
}

// Fields that a newer release added stay. A record of a newer version is not changed.
func TestAConsentOfANewerReleaseIsKept(t *testing.T) {
	w := asking(t, newWorld(t))
	_, in := w.signIn(ada)
	w.allow(w.asks("email"), in)
	for key, value := range w.consents() {
		newer := strings.Replace(string(value), "{", `{"added":"x",`, 1)
		if err := w.store.Put(t.Context(), key, []byte(newer), time.Hour); err != nil {
			t.Fatal(err)
		}
		w.allow(w.asks("profile"), in)
		if got := string(w.consents()[key]); !strings.Contains(got, `"added":"x"`) || !strings.Contains(got, `"profile"`) {
			t.Errorf("it became %s", got)
		}
		if err := w.store.Put(t.Context(), key, []byte(`{"v":9,"scopes":7}`), time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, refusal := w.IssueCode(t.Context(), w.asks("email"), in, ""); refusal == nil || refusal.Kind != oauth.Internal {
			t.Errorf("one that cannot be read: %v", refusal)
		}
		if err := w.Withdraw(t.Context(), in, "6", "", "ended by its user"); err != nil || len(w.consents()) > 0 {
			t.Errorf("withdrawing it: %v", err)
		}
		if err := w.store.Put(t.Context(), key, []byte("damage"), time.Hour); err != nil {
			t.Fatal(err)
		}
		if w.getsCode(w.asks("email"), in) {
			t.Error("a malformed record is accepted as consent")
		}
		w.allow(w.asks("email"), in)
		if !w.getsCode(w.asks("email"), in) {
			t.Error("it cannot be written over")
		}
	}
}

func TestClass24TheRememberedConsentToOneClientIsBounded(t *testing.T) {
	w := asking(t, newWorld(t))
	_, in := w.signIn(ada)
	many := make([]string, 100)
	for round := range 20 {
		for i := range many {
			many[i] = fmt.Sprintf("scope-%d-%d-%s", round, i, strings.Repeat("x", 100))
		}
		a := w.asks(many...)
		w.allow(a, in)
		if !w.getsCode(a, in) {
			t.Fatal("the scopes just allowed get no code, so the page would never end")
		}
		if w.getsCode(a, in) {
			t.Fatal("more is remembered than there is room for")
		}
	}
	for _, value := range w.consents() {
		if len(value) > 8<<10 {
			t.Errorf("%d bytes", len(value))
		}
	}
	if n := len(w.consents()); n != 1 {
		t.Errorf("%d consents", n)
	}
}

// In an outage no user is asked again, and no client gets a code without consent.
func TestInAnOutageConsentIsNeitherAssumedNorLost(t *testing.T) {
	w := asking(t, newWorld(t))
	_, in := w.signIn(ada)
	w.allow(w.asks("email"), in)
	w.store.Down(true)
	if _, refusal := w.IssueCode(t.Context(), w.asks("email"), in, ""); refusal == nil || refusal.Kind != oauth.Internal || refusal.RetryAfter == 0 {
		t.Errorf("%v", refusal)
	}
	if err := w.Allow(t.Context(), w.asks("profile"), in, ""); err == nil {
		t.Error("it is treated as stored")
	}
	w.store.Down(false)
	if !w.getsCode(w.asks("email"), in) || w.getsCode(w.asks("profile"), in) {
		t.Error("it is not as before")
	}
}

func TestTheAnswersOfAUserOnTheConsentPageAreLimited(t *testing.T) {
	w := asking(t, newWorld(t))
	_, in := w.signIn(ada)
	n := 0
	for w.CountConsent(in, w.client("6"), "") == nil {
		if n++; n > 1000 {
			t.Fatal("there is no limit")
		}
	}
	if refusal := w.CountConsent(in, w.client("6"), ""); n != 256 || refusal.Kind != oauth.TooManyAttempts || refusal.RetryAfter <= 0 {
		t.Errorf("after %d: %v", n, refusal)
	}
	w.clock.Advance(time.Hour)
	if refusal := w.CountConsent(in, w.client("6"), ""); refusal != nil {
		t.Error(refusal)
	}
}
