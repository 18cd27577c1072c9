package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// brokenProvider is an OpenID Connect provider whose userinfo endpoint fails. Its ID
// tokens have these claims beside the usual ones.
func brokenProvider(t *testing.T, claims map[string]any) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	nonce, mux := "", http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	answer := func(path string, v func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(v()); err != nil {
				t.Error(err)
			}
		})
	}
	answer("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer": server.URL, "authorization_endpoint": server.URL + "/auth", "token_endpoint": server.URL + "/token",
			"jwks_uri": server.URL + "/jwks", "userinfo_endpoint": server.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"ES256"},
		}
	})
	answer("/jwks", func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), Algorithm: "ES256", Use: "sig"}}}
	})
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		nonce = q.Get("nonce")
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {"x"}, "state": {q.Get("state")}}.Encode(), http.StatusSeeOther)
	})
	answer("/token", func() any {
		now := time.Now()
		all := map[string]any{"iss": server.URL, "aud": "sso", "sub": "ann", "nonce": nonce, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
		maps.Copy(all, claims)
		payload, err := json.Marshal(all)
		if err != nil {
			t.Error(err)
		}
		jws, err := signer.Sign(payload)
		if err != nil {
			t.Error(err)
			return nil
		}
		raw, err := jws.CompactSerialize()
		if err != nil {
			t.Error(err)
		}
		return map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": raw}
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusInternalServerError) })
	return server
}

func TestAFailingUserinfoEndpointLocksNobodyOutForAPicture(t *testing.T) {
	all := map[string]any{
		"preferred_username": "ann.acme", "email": "ann@acme.example", "email_verified": true,
		"realm_access": map[string]any{"roles": []string{"players", "staff"}},
	}
	with := "client 7 {\npublic\nredirect_uri https://game.example/cb\nclaim photo {user.avatar}\n}"
	for name, c := range map[string]struct {
		path, more string
		status     int
	}{
		"only a picture is missing":            {"realm_access.roles", "", http.StatusOK},
		"groups are missing, which gates need": {"realm_access.groups", "", http.StatusServiceUnavailable},
		"a client's claim has the picture":     {"realm_access.roles", with, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{
				global: c.more + "\nsignin oidc acme {\nissuer " + brokenProvider(t, all).URL + "\nclient_id sso\nclaim groups " + c.path + "\n}",
				gate:   "require group staff", handler: `respond "{http.request.header.X-SSO-User} in {http.request.header.X-SSO-Groups}"`,
			}.withLog())
			v := w.visitor()
			got := v.get(buttonOf(t, v.get("http://"+w.site+"/"), "/sso/with/acme"))
			if got.StatusCode != c.status {
				t.Fatalf("%s: %s", got.Status, got.body)
			}
			log, _ := w.logged()
			if !strings.Contains(log, "asking for user information: status 500") {
				t.Errorf("the log does not say why: %s", log)
			}
			if c.status != http.StatusOK {
				return
			}
			if got := v.get("http://" + w.site + "/"); got.body != "ann.acme in players,staff" {
				t.Errorf("%s: %s", got.Status, got.body)
			}
		})
	}
}
