package portal_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
)

// atProvider has local accounts, and the method acme with a provider that can lie.
type atProvider struct {
	*fixture
	provider *providertest.Provider
	acme     *provider.Method
}

func newAtProvider(t testing.TB, change ...func(*provider.Options)) *atProvider {
	t.Helper()
	f := &atProvider{fixture: newFixture(t), provider: providertest.New(t)}
	f.acme = f.provider.Method(append(change, func(o *provider.Options) { o.Now = f.clock.Now })...)
	f.use(f.hosted.Methods[0], f.acme)
	return f
}

// leaves goes to the provider, and returns what the browser asks it for.
func (f *atProvider) leaves(b *visitor) url.Values {
	f.t.Helper()
	to := links(b.open(portal.SignInPath+"?switch=1"), portal.StartPrefix+"acme?")
	if len(to) != 1 {
		f.t.Fatal("there is no button of the provider")
	}
	w := b.open(to[0])
	want(f.t, w, http.StatusSeeOther)
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		f.t.Fatal(err)
	}
	return u.Query()
}

// comes signs in at the provider, with more claims than the usual.
func (f *atProvider) comes(b *visitor, claims map[string]any) *httptest.ResponseRecorder {
	f.t.Helper()
	asks, now := f.leaves(b), f.clock.Now()
	f.provider.Set(func() {
		f.provider.Claims = providertest.Merged(map[string]any{
			"nonce": asks.Get("nonce"), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		}, claims)
		f.provider.Userinfo = map[string]any{"sub": claims["sub"]}
	})
	return b.back("acme", asks.Get("state"), "good")
}

// signsIn is a browser that signed in at the provider.
func (f *atProvider) signsIn(claims map[string]any) *visitor {
	f.t.Helper()
	b := f.visitor()
	want(f.t, f.comes(b, claims), http.StatusOK)
	if f.who(b.session()) == "" {
		f.t.Fatal("nobody is signed in")
	}
	return b
}

// logoutToken is a logout token, with changes to its claims.
func (f *atProvider) logoutToken(changes map[string]any) string {
	f.t.Helper()
	payload, err := json.Marshal(providertest.Merged(map[string]any{
		"iss": f.provider.Server.URL, "aud": providertest.ClientID, "iat": f.clock.Now().Unix(), "exp": f.clock.Now().Add(2 * time.Minute).Unix(),
		"jti": "1", "events": map[string]any{provider.LogoutEvent: map[string]any{}},
	}, changes))
	if err != nil {
		f.t.Fatal(err)
	}
	return f.provider.ES256(payload)
}

// logsOut is the provider that sends a logout token.
func (f *atProvider) logsOut(token string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.visitor().do("POST", portal.BackchannelPrefix+"acme", url.Values{"logout_token": {token}})
}
