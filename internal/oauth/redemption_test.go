package oauth_test

import (
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A second redemption within ten seconds by the same client does not end the grant
// (RFC 6749 section 4.1.2, RFC 9700 section 4.5).
func TestClass12ASecondRedemptionEndsTheGrantUnlessItRepeatsTheFirst(t *testing.T) {
	for name, c := range map[string]struct {
		client    string
		challenge bool
		change    func(*world, *oauth.CodeRequest)
		lives     bool
	}{
		"at once":                                     {"1", true, func(*world, *oauth.CodeRequest) {}, true},
		"ten seconds later":                           {"1", true, func(w *world, _ *oauth.CodeRequest) { w.clock.Advance(oauth.RedemptionGrace) }, true},
		"on a node whose clock is behind":             {"1", true, func(w *world, _ *oauth.CodeRequest) { w.clock.Advance(-oauth.RedemptionGrace) }, true},
		"later":                                       {"1", true, func(w *world, _ *oauth.CodeRequest) { w.clock.Advance(oauth.RedemptionGrace + time.Millisecond) }, false},
		"without the verifier":                        {"1", true, func(_ *world, r *oauth.CodeRequest) { r.Verifier = "" }, false},
		"with another verifier":                       {"1", true, func(_ *world, r *oauth.CodeRequest) { r.Verifier = verifier[1:] + "x" }, false},
		"by another client, which has the code":       {"1", true, func(w *world, r *oauth.CodeRequest) { r.Client = w.client("4") }, true},
		"with a secret":                               {"2", false, func(*world, *oauth.CodeRequest) {}, true},
		"with a secret, later":                        {"2", false, func(w *world, _ *oauth.CodeRequest) { w.clock.Advance(time.Minute) }, false},
		"with a secret and the verifier":              {"2", true, func(*world, *oauth.CodeRequest) {}, true},
		"with a secret, without the verifier":         {"2", true, func(_ *world, r *oauth.CodeRequest) { r.Verifier = "" }, false},
		"by a public client without PKCE":             {"4", false, func(*world, *oauth.CodeRequest) {}, false},
		"by a public client that may leave PKCE out":  {"4", true, func(*world, *oauth.CodeRequest) {}, true},
		"by a public client without PKCE, a verifier": {"4", false, func(_ *world, r *oauth.CodeRequest) { r.Verifier = verifier }, false},
	} {
		for kind, stored := range map[string]bool{"in memory": false, "in the store": true} {
			t.Run(name+", "+kind, func(t *testing.T) {
				w := newWorld(t)
				if stored {
					w.Codes = codes.NewStored(w.store, codes.Options{Now: w.clock.Now})
				}
				_, in := w.signIn(ada)
				r := oauth.CodeRequest{Client: w.client(c.client), RedirectURI: callback, Verifier: verifier, Code: w.code(in, func(r *oauth.AuthorizeRequest) {
					r.ClientID, r.Audience = c.client, map[string][]string{"1": {"game"}, "2": {"server"}, "4": {"old"}}[c.client]
					if !c.challenge {
						r.CodeChallenge, r.CodeChallengeMethod = "", ""
					}
				})}
				if !c.challenge {
					r.Verifier = ""
				}
				tokens, refusal := w.ExchangeCode(t.Context(), r)
				if refusal != nil {
					t.Fatal(refusal)
				}
				c.change(w, &r)
				_, refusal = w.ExchangeCode(t.Context(), r)
				wantKind(t, refusal, oauth.InvalidGrant)
				if _, refusal := w.VerifyAccess(t.Context(), tokens.Access); (refusal == nil) != c.lives {
					t.Errorf("the token of the first is valid: %v", refusal == nil)
				}
			})
		}
	}
}

// A marker of an old release has no redemption time. Then a second redemption ends
// the grant, as in that release.
func TestAMarkerOfASpentCodeWithoutItsTimeEndsTheGrant(t *testing.T) {
	w := newWorld(t)
	w.Codes = codes.NewStored(w.store, codes.Options{Now: w.clock.Now})
	_, in := w.signIn(ada)
	code := w.code(in, nil)
	redeemed, refusal := w.redeem(code, nil)
	if refusal != nil {
		t.Fatal(refusal)
	}
	grant := redeemed.Record.Grant
	err := w.store.Scan(t.Context(), "spent:", func(key string, _ []byte) error {
		return w.store.Put(t.Context(), key, []byte(`{"grant":"`+grant+`","client":"1"}`), time.Hour)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, refusal = w.redeem(code, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	w.wantActive(oauth.Grant{ID: grant, Session: in.Session.Key()}, false)
}

// atOnce redeems a code at the same time on several nodes, and returns the tokens.
func atOnce(t *testing.T, code string, nodes ...*world) []*oauth.Tokens {
	t.Helper()
	var mu sync.Mutex
	var given []*oauth.Tokens
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range 12 {
		w := nodes[i%len(nodes)]
		all.Go(func() {
			<-begin
			tokens, refusal := w.ExchangeCode(t.Context(), oauth.CodeRequest{Client: w.client("1"), Code: code, RedirectURI: callback, Verifier: verifier})
			if refusal != nil {
				wantKind(t, refusal, oauth.InvalidGrant)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			given = append(given, tokens)
		})
	}
	close(begin)
	all.Wait()
	return given
}
