package oauth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/storage"
)

// meanwhile is a store that calls a function just before a grant is stored or a
// session is removed. It cannot read keys with a prefix.
type meanwhile struct {
	storage.Store
	happens func()
	ends    func()
	fails   string
}

func (m *meanwhile) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if ends := m.ends; ends != nil && strings.HasPrefix(key, "session:") {
		m.ends = nil
		ends()
	}
	return m.Store.Take(ctx, key)
}

func (m *meanwhile) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if happens := m.happens; happens != nil && strings.HasPrefix(key, "grant:") {
		m.happens = nil
		happens()
	}
	return m.Store.Put(ctx, key, value, lifetime)
}

func (m *meanwhile) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if m.fails != "" && strings.HasPrefix(key, m.fails) {
		return nil, false, fmt.Errorf("dialing: %w", storage.ErrUnavailable)
	}
	return m.Store.Get(ctx, key)
}

func newMeanwhile(t *testing.T) (*world, *meanwhile) {
	w := newWorld(t)
	m := &meanwhile{Store: w.store.Store}
	w.store.Store = m
	w.restart()
	return w, m
}

// A grant may be ended, on any node, while its first tokens are made. Then there are
// no tokens.
func TestClass16AGrantThatEndsWhileItBeginsHasNoTokens(t *testing.T) {
	for name, end := range map[string]func(w *world, in oauth.SignedIn, code oauth.CodeRequest) error{
		"its code is used twice, without the verifier": func(w *world, _ oauth.SignedIn, code oauth.CodeRequest) error {
			code.Verifier = ""
			_, refusal := w.ExchangeCode(w.t.Context(), code)
			wantKind(w.t, refusal, oauth.InvalidGrant)
			return nil
		},
		"the user signs out everywhere": func(w *world, _ oauth.SignedIn, _ oauth.CodeRequest) error {
			_, elsewhere := w.signIn(ada)
			v, refusal := w.VerifyAccess(w.t.Context(), w.offline(elsewhere).Access)
			if refusal != nil {
				w.t.Fatal(refusal)
			}
			if refusal := w.SignOutEverywhere(w.t.Context(), v, ""); refusal != nil {
				w.t.Fatal(refusal)
			}
			return nil
		},
		"the session ends": func(w *world, in oauth.SignedIn, _ oauth.CodeRequest) error {
			return w.EndSession(w.t.Context(), in, "")
		},
		"the operator ends all grants of the user": func(w *world, in oauth.SignedIn, _ oauth.CodeRequest) error {
			_, err := w.Grants.EndUser(w.t.Context(), in.User.Subject)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, m := newMeanwhile(t)
			_, in := w.signIn(ada)
			code := oauth.CodeRequest{
				Client: w.client("1"), RedirectURI: callback, Verifier: verifier,
				Code: w.code(in, func(r *oauth.AuthorizeRequest) { r.Scope = []string{"email", "offline"} }),
			}
			m.happens = func() {
				if err := end(w, in, code); err != nil {
					t.Error(err)
				}
			}
			_, refusal := w.ExchangeCode(t.Context(), code)
			wantKind(t, refusal, oauth.InvalidGrant)
			if n, err := w.Grants.EndUser(t.Context(), ada.Subject); err != nil || n != 0 {
				t.Errorf("%d grants are left (%v)", n, err)
			}
		})
	}
}

func TestSigningOutEverywhereEndsGrantsThatBeginMeanwhile(t *testing.T) {
	w, m := newMeanwhile(t)
	_, in := w.signIn(ada)
	v, refusal := w.VerifyAccess(t.Context(), w.offline(in).Access)
	if refusal != nil {
		t.Fatal(refusal)
	}
	var begun *oauth.Tokens
	m.ends = func() { begun = w.offline(in) }
	if refusal := w.SignOutEverywhere(t.Context(), v, ""); refusal != nil {
		t.Fatal(refusal)
	}
	_, refusal = w.VerifyAccess(t.Context(), begun.Access)
	wantKind(t, refusal, oauth.InvalidToken)
	_, refusal = w.refresh(begun.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
}

func TestSigningOutEverywhereCanBeTriedAgain(t *testing.T) {
	for _, fails := range []string{"grants:", "user:", "ended:"} {
		for _, scope := range []string{"email", "offline"} {
			t.Run(fails+" "+scope, func(t *testing.T) {
				w, m := newMeanwhile(t)
				_, elsewhere := w.signIn(ada)
				persistent := w.offline(elsewhere)
				_, in := w.signIn(ada)
				tokens, refusal := w.ExchangeCode(t.Context(), oauth.CodeRequest{
					Client: w.client("1"), RedirectURI: callback, Verifier: verifier,
					Code: w.code(in, func(r *oauth.AuthorizeRequest) { r.Scope = []string{scope} }),
				})
				if refusal != nil {
					t.Fatal(refusal)
				}
				v, refusal := w.VerifyAccess(t.Context(), tokens.Access)
				if refusal != nil {
					t.Fatal(refusal)
				}
				m.fails = fails
				first := w.SignOutEverywhere(t.Context(), v, "")
				m.fails = ""
				if first != nil {
					if v, refusal = w.VerifyAccess(t.Context(), tokens.Access); refusal != nil {
						t.Fatal("it cannot be tried again:", refusal)
					}
					if refusal := w.SignOutEverywhere(t.Context(), v, ""); refusal != nil {
						t.Fatal(refusal)
					}
				}
				for _, token := range []string{tokens.Access, persistent.Access} {
					_, refusal := w.VerifyAccess(t.Context(), token)
					wantKind(t, refusal, oauth.InvalidToken)
				}
				_, refusal = w.refresh(persistent.Refresh, nil)
				wantKind(t, refusal, oauth.InvalidGrant)
			})
		}
	}
}
