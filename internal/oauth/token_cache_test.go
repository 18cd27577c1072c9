package oauth_test

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// kindsOfTokens are those that are remembered.
var kindsOfTokens = map[string]func(*world, oauth.SignedIn) string{
	"a user's": func(w *world, in oauth.SignedIn) string { return w.openIDTokens(in, nil).Access },
	"offline":  func(w *world, in oauth.SignedIn) string { return w.offlineTokens(in).Access },
	"offline, and its session is over": func(w *world, in oauth.SignedIn) string {
		token := w.offlineTokens(in).Access
		if err := w.EndSession(w.t.Context(), in, ""); err != nil {
			w.t.Fatal(err)
		}
		return token
	},
	"a client's own": func(w *world, _ oauth.SignedIn) string {
		tokens, refusal := w.ClientToken(w.t.Context(), w.client("2"), nil, nil, "")
		if refusal != nil {
			w.t.Fatal(refusal)
		}
		return tokens.Access
	},
}

func TestAVerifiedTokenCostsNoIO(t *testing.T) {
	for name, token := range kindsOfTokens {
		t.Run(name, func(t *testing.T) {
			w, h := remembering(t)
			_, in := w.signIn(ada)
			token := token(w, in)
			first := w.verified(token)
			before := h.gets.Load()
			w.store.Down(true) // nobody asks it
			for range 3 {
				if again := w.verified(token); !reflect.DeepEqual(again, first) {
					t.Fatalf("first %+v, then %+v", first, again)
				}
			}
			if asked := h.gets.Load() - before; asked != 0 {
				t.Errorf("the store was asked %d times", asked)
			}
		})
	}
}

func TestClass16ARememberedTokenEndsAtOnce(t *testing.T) {
	endSession := func(w *world, in oauth.SignedIn, _ *oauth.Verified) error { return w.EndSession(w.t.Context(), in, "") }
	for name, tt := range map[string]struct {
		offline bool
		end     func(*world, oauth.SignedIn, *oauth.Verified) error
		lives   bool
	}{
		"with its grant": {false, func(w *world, _ oauth.SignedIn, v *oauth.Verified) error {
			return w.Grants.End(w.t.Context(), v.Claims.Grant)
		}, false},
		"with its session": {false, endSession, false},
		"offline, with its grant": {true, func(w *world, _ oauth.SignedIn, v *oauth.Verified) error {
			return w.Grants.End(w.t.Context(), v.Claims.Grant)
		}, false},
		"offline, not with its session": {true, endSession, true},
		"offline, with what is stored": {true, func(w *world, _ oauth.SignedIn, v *oauth.Verified) error {
			_, _, err := w.Store.Take(w.t.Context(), "grant:"+v.Claims.Grant)
			return err
		}, false},
		"offline, with all of a user's": {true, func(w *world, _ oauth.SignedIn, _ *oauth.Verified) error {
			_, err := w.Grants.EndUser(w.t.Context(), ada.Subject)
			return err
		}, false},
		"with its user":               {false, func(w *world, _ oauth.SignedIn, _ *oauth.Verified) error { w.people.Remove(ada); return nil }, false},
		"offline, with its user":      {true, func(w *world, _ oauth.SignedIn, _ *oauth.Verified) error { w.people.Remove(ada); return nil }, false},
		"when its client is disabled": {false, func(w *world, _ oauth.SignedIn, _ *oauth.Verified) error { w.client("1").Disabled = true; return nil }, false},
		"when its client is gone": {false, func(w *world, _ oauth.SignedIn, _ *oauth.Verified) (err error) {
			w.Clients, err = oauth.NewClients(nil)
			return err
		}, false},
		"when the issuer is another": {false, func(w *world, _ oauth.SignedIn, _ *oauth.Verified) error {
			w.Issuer = "https://other.example"
			return nil
		}, false},
		"when it expires": {false, func(w *world, _ oauth.SignedIn, _ *oauth.Verified) error {
			w.clock.Advance(oauth.TokenLifetime)
			return nil
		}, false},
		"not with another user's grants": {true, func(w *world, _ oauth.SignedIn, _ *oauth.Verified) error {
			_, err := w.Grants.EndUser(w.t.Context(), "other")
			return err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := remembering(t)
			_, in := w.signIn(ada)
			token := w.openIDTokens(in, nil).Access
			if tt.offline {
				token = w.offlineTokens(in).Access
			}
			v := w.verified(token)
			if err := tt.end(w, in, v); err != nil {
				t.Fatal(err)
			}
			if tt.lives {
				w.verified(token)
				return
			}
			w.refused(token, oauth.InvalidToken)
		})
	}
}

// A key that leaked is withdrawn at another node. Its tokens are refused once that
// is seen.
func TestATokenWhoseKeyIsGoneIsForgotten(t *testing.T) {
	w, _ := remembering(t)
	vault := keystest.NewVault()
	options := keys.Options{Now: w.clock.Now, Algorithms: []keys.Algorithm{keys.ES256}}
	w.Keys = keys.NewRing(vault, options)
	_, in := w.signIn(ada)
	token := w.openIDTokens(in, nil).Access
	w.verified(token)
	if err := w.Keys.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.verified(token)
	elsewhere := keys.NewRing(vault, options)
	published, err := elsewhere.Public(t.Context(), keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Withdraw(t.Context(), published[0].KeyID); err != nil {
		t.Fatal(err)
	}
	if err := w.Keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.refused(token, oauth.InvalidToken)
}

// A signature counts only where it was checked: in another configuration, a
// client may have another key.
func TestAnotherConfigurationChecksTheSignatureAgain(t *testing.T) {
	w, h := remembering(t)
	cache := w.remember(session.Policy{}, oauth.TokenCacheOptions{})
	_, in := w.signIn(ada)
	token := w.openIDTokens(in, nil).Access
	w.verified(token)
	asked := h.gets.Load()
	w.Verified = oauth.NewVerifiedTokens(cache)
	w.verified(token)
	if now := h.gets.Load(); now != asked {
		t.Errorf("the grant was read again, though it outlives the configuration")
	}
	w.Verified = oauth.NewVerifiedTokens(cache)
	w.Keys = keys.NewRing(keystest.NewVault(), keys.Options{Now: w.clock.Now, Algorithms: []keys.Algorithm{keys.ES256}})
	if err := w.Keys.Load(t.Context()); err != nil { // as often as the other's
		t.Fatal(err)
	}
	w.refused(token, oauth.InvalidToken)
}

// The end of a grant is told while the read of it is under way, and what was
// read before it must not be remembered.
func TestAnEndDuringTheReadIsNotForgotten(t *testing.T) {
	for _, offline := range []bool{false, true} {
		w, h := remembering(t)
		_, in := w.signIn(ada)
		token := w.openIDTokens(in, nil).Access
		if offline {
			token = w.offlineTokens(in).Access
		}
		grant := w.payload(token)["gid"].(string)
		last := "ended:" + grant
		if offline {
			last = "grant:" + grant
		}
		h.onGet(func(key string) {
			if key == last {
				h.onGet(nil)
				if err := w.Grants.End(t.Context(), grant); err != nil {
					t.Error(err)
				}
			}
		})
		w.verified(token) // read before the end
		w.refused(token, oauth.InvalidToken)
	}
}

// An ended grant stays ended, whatever becomes of the feed, and costs no more
// than one read.
func TestAnEndedGrantIsReadOnce(t *testing.T) {
	w, h := remembering(t)
	_, in := w.signIn(ada)
	token := w.openIDTokens(in, nil).Access
	if err := w.Grants.End(t.Context(), w.payload(token)["gid"].(string)); err != nil {
		t.Fatal(err)
	}
	w.refused(token, oauth.InvalidToken)
	before := h.gets.Load()
	h.lose()
	w.refused(token, oauth.InvalidToken)
	if h.gets.Load() != before {
		t.Error("the store was asked again")
	}
}

// Tokens of one grant may differ in scope: what was read for one is not enough
// for the other.
func TestAGrantIsReadAgainForScopeOffline(t *testing.T) {
	w, _ := remembering(t)
	_, in := w.signIn(ada)
	offline := w.offlineTokens(in).Access
	claims := w.payload(offline)
	narrow := w.signed(claims, map[string]any{"scp": []string{"openid"}})
	w.verified(narrow)
	if err := w.EndSession(t.Context(), in, ""); err != nil {
		t.Fatal(err)
	}
	w.refused(narrow, oauth.InvalidToken)
	if v := w.verified(offline); v.Session != nil || v.User.Subject != ada.Subject {
		t.Errorf("%+v", v)
	}
	w.refused(narrow, oauth.InvalidToken)
}

func TestTheMemoryOfTokensIsBounded(t *testing.T) {
	w, _ := remembering(t)
	w.remember(session.Policy{}, oauth.TokenCacheOptions{Capacity: 64})
	_, in := w.signIn(ada)
	claims := w.payload(w.openIDTokens(in, nil).Access)
	sums := map[[sha256.Size]byte]bool{}
	for i := range 500 {
		token := w.signed(claims, map[string]any{"jti": fmt.Sprint(i)})
		w.verified(token)
		sums[sha256.Sum256([]byte(token))] = true
	}
	if n := w.Verified.Kept(); n > 64 || n < 16 || len(sums) != 500 {
		t.Errorf("%d of %d tokens are kept", n, len(sums))
	}
	for _, bad := range []string{"", "a.b.c", strings.Repeat("A", 20_000)} {
		before := w.Verified.Kept()
		w.refused(bad, oauth.InvalidToken)
		if w.Verified.Kept() != before {
			t.Errorf("%.10q is kept", bad)
		}
	}
}

func TestClosingTheMemoryOfTokensLeavesNoGoroutine(t *testing.T) {
	w, h := remembering(t)
	_, in := w.signIn(ada)
	token := w.openIDTokens(in, nil).Access
	before := runtime.NumGoroutine()
	for range 4 {
		cache := oauth.NewTokenCache(w.store, oauth.TokenCacheOptions{Now: w.clock.Now})
		w.Verified = oauth.NewVerifiedTokens(cache)
		_, release := w.Attach(t.Context(), w.verified(token))
		w.store.Down(true)
		h.lose()
		cache.Close()
		h.lose() // on its way when it closed
		release()
		w.store.Down(false)
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}

func TestManyVerifyWhileTheirGrantEnds(t *testing.T) {
	w, _ := remembering(t)
	for range 20 {
		_, in := w.signIn(ada)
		token := w.offlineTokens(in).Access
		grant := w.payload(token)["gid"].(string)
		var over atomic.Bool
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 50 {
					ended := over.Load()
					_, refusal := w.VerifyAccess(t.Context(), token)
					if ended && refusal == nil {
						t.Error("taken after its grant had ended")
					}
					if refusal != nil && refusal.Kind != oauth.InvalidToken {
						t.Error(refusal)
					}
				}
			})
		}
		if err := w.Grants.End(t.Context(), grant); err != nil {
			t.Error(err)
		}
		over.Store(true)
		all.Wait()
	}
}
