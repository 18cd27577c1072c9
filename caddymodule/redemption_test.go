package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// redeemers are clients whose codes are redeemed by several at once: one that
// proves itself by PKCE, and one by its secret alone.
const redeemers = `
	client 2 {
		public
		redirect_uri https://game.example/callback
		scope offline openid
		token_alg ES256
	}
	client 3 {
		secret s3cr3ts3cr3ts3cr3t
		redirect_uri https://game.example/callback
		scope offline openid
		token_alg ES256
	}`

// A redemption is what of a client's requests differs.
type redemption struct {
	client, secret, verifier string
	authorize, token         string // paths
}

func (r redemption) code(v *visitor, scope string) string {
	v.t.Helper()
	q := url.Values{
		"response_type": {"code"}, "client_id": {r.client}, "redirect_uri": {"https://game.example/callback"},
		"scope": {scope}, "state": {"12345678"}, "audience": {r.client},
	}
	if r.verifier != "" {
		q.Set("code_challenge", oauth.Challenge(r.verifier))
		q.Set("code_challenge_method", "S256")
	}
	got := v.getOnce("http://" + v.portal + r.authorize + "?" + q.Encode())
	location, err := got.Location()
	if err != nil || location.Query().Get("code") == "" {
		v.t.Fatalf("no code, but %s: %s", got.Status, got.body)
	}
	return location.Query().Get("code")
}

func (r redemption) redeem(v *visitor, code string) answered {
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {r.client}, "redirect_uri": {"https://game.example/callback"}, "code": {code},
	}
	if r.verifier != "" {
		form.Set("code_verifier", r.verifier)
	}
	if r.secret != "" {
		form.Set("client_secret", r.secret)
	}
	return v.send(v.request(http.MethodPost, "http://"+v.portal+r.token, form.Encode()))
}

// redeemAtOnce sends equal redemptions of one code, and returns the answers that
// have tokens.
func (r redemption) redeemAtOnce(v *visitor, code string, n int) []tokens {
	answers := make([]answered, n)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			<-begin
			answers[i] = r.redeem(v, code)
		})
	}
	close(begin)
	all.Wait()
	var given []tokens
	for _, a := range answers {
		if a.StatusCode == http.StatusOK {
			var t tokens
			if err := json.Unmarshal([]byte(a.body), &t); err != nil {
				v.t.Error(err)
			}
			given = append(given, t)
		} else if a.StatusCode != http.StatusBadRequest {
			v.t.Errorf("%s: %s", a.Status, a.body)
		}
	}
	return given
}

// A page that runs twice, a double click and an HTTP client that retries redeem
// one code twice at the same moment.
func TestClass12OfEqualRedemptionsAtOnceOneGivesTokensThatLive(t *testing.T) {
	server := redistest.Start(t)
	login := redemption{authorize: "/api/oauth2/auth", token: "/api/oauth2/token"}
	openID := redemption{authorize: "/oauth2/authorize", token: "/oauth2/token"}
	for engine, storage := range map[string]string{
		"memory": "storage memory", "file": "storage file " + filepath.Join(t.TempDir(), "sso.db"), "redis": "storage redis " + server.URL() + " " + redisKey,
	} {
		w := newWorld(t)
		w.mustLoad(setup{storage: storage, global: redeemers})
		v := w.visitor()
		v.signIn("http://" + w.site + "/")
		for name, door := range map[string]redemption{"Login API": login, "OpenID Connect": openID} {
			for proof, r := range map[string]redemption{
				"PKCE":       {"2", "", verifier, door.authorize, door.token},
				"its secret": {"3", "s3cr3ts3cr3ts3cr3t", "", door.authorize, door.token},
			} {
				t.Run(engine+", "+name+", "+proof, func(t *testing.T) {
					dead := 0
					for i := range 20 {
						scope := [...]string{"openid", "openid offline"}[i%2]
						given := r.redeemAtOnce(v, r.code(v, scope), 12)
						switch {
						case len(given) > 1:
							t.Fatalf("%d of them have tokens", len(given))
						case len(given) == 0 || !v.valid(given[0].Access):
							dead++
						case given[0].Refresh != "" && r.refresh(v, given[0].Refresh).StatusCode != http.StatusOK:
							t.Error("the refresh token does not count")
						}
					}
					if dead > 0 {
						t.Errorf("%d times of 20 nobody has a token that counts", dead)
					}
				})
			}
		}
	}
}

func (r redemption) refresh(v *visitor, token string) answered {
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {r.client}, "refresh_token": {token}}
	if r.secret != "" {
		form.Set("client_secret", r.secret)
	}
	return v.send(v.request(http.MethodPost, "http://"+v.portal+r.token, form.Encode()))
}
