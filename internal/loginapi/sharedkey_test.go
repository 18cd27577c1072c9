package loginapi_test

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// legacy is a token of client 6, which is signed with HS256.
func (w *world) legacy(u session.User, scope string) string {
	w.T.Helper()
	cookie, _ := w.signIn(u)
	code := w.code(cookie, game("client_id", "6", "redirect_uri", "https://legacy.example/cb", "scope", scope, "audience", "legacy"))
	token, _ := w.access(w.token(redemption(code, "client_id", "6", "client_secret", secret, "redirect_uri", "https://legacy.example/cb")))
	return token
}

// hmacJWT is what an older backend makes and checks, without any library.
func hmacJWT(header, payload string, key []byte) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func parts(t testing.TB, token string) (header, payload string) {
	t.Helper()
	p := strings.Split(token, ".")
	if len(p) != 3 {
		t.Fatalf("%d parts", len(p))
	}
	h, err := base64.RawURLEncoding.DecodeString(p[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := base64.RawURLEncoding.DecodeString(p[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(h), string(b)
}

func TestAnOlderBackendVerifiesATokenByItsKey(t *testing.T) {
	w := newWorld(t)
	token := w.legacy(ada, "email offline")
	header, payload := parts(t, token)
	if header != `{"alg":"HS256","typ":"JWT"}` || hmacJWT(header, payload, []byte(sharedKey)) != token {
		t.Errorf("header %s, or the signature is another", header)
	}
	w.wantValid(true, token)
	if a := w.Send(http.MethodGet, "/api/users/me", "", bearer(token)...); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	var claims oauth.Claims
	if err := json.Unmarshal([]byte(payload), &claims); err != nil || claims.Expires-claims.IssuedAt != 15*60 {
		t.Errorf("claims %+v: %v", claims, err)
	}
	w.Clock.Advance(15 * time.Minute)
	w.wantValid(false, token)
}

func TestAClientOfASharedKeyHasNoPublicKeys(t *testing.T) {
	w := newWorld(t)
	if a := w.Get("/api/projects/6/keys", ""); a.Status != http.StatusOK || a.Body != "[]\n" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// The kinds of key that JWT libraries were made to mix up: CVE-2015-9235 and
// its many children.
func TestAlgorithmsAreNeverConfused(t *testing.T) {
	w := newWorld(t)
	token := w.legacy(ada, "email")
	_, payload := parts(t, token)
	cookie, _ := w.signIn(ada)
	rs256, _ := w.tokens(cookie, "email")
	rsHeader, rsPayload := parts(t, rs256)
	public, err := w.Server.Keys.Public(t.Context(), keys.RS256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public[0].Key.(*rsa.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwk, err := public[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	hs := `{"alg":"HS256","typ":"JWT"}`
	withKid := fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"JWT"}`, public[0].KeyID)
	forClient := func(id string) string { return strings.Replace(payload, `"client_id":"6"`, `"client_id":"`+id+`"`, 1) }
	for name, forged := range map[string]string{
		"another client's token, by the shared key":        hmacJWT(hs, forClient("1"), []byte(sharedKey)),
		"an RS256 token's claims, by the shared key":       hmacJWT(hs, rsPayload, []byte(sharedKey)),
		"of a client that there is not":                    hmacJWT(hs, forClient("99"), []byte(sharedKey)),
		"by the RSA key as a PEM":                          hmacJWT(withKid, rsPayload, asPEM),
		"by the RSA key as a PEM, for the client of HS256": hmacJWT(withKid, payload, asPEM),
		"by the RSA key as DER":                            hmacJWT(withKid, rsPayload, der),
		"by the RSA key as a JWK":                          hmacJWT(withKid, rsPayload, jwk),
		"by no key":                                        hmacJWT(hs, payload, nil),
		"by the client's secret":                           hmacJWT(hs, payload, []byte(secret)),
		"with none":                                        strings.Join(strings.Split(hmacJWT(`{"alg":"none"}`, payload, nil), ".")[:2], ".") + ".",
		"with the header of RS256, by the shared key":      hmacJWT(rsHeader, payload, []byte(sharedKey)),
		"with HS512":                                       hmacJWT(`{"alg":"HS512","typ":"JWT"}`, payload, []byte(sharedKey)),
		"with its own key in the header":                   hmacJWT(`{"alg":"HS256","jwk":{"kty":"oct","k":"eA"},"typ":"JWT"}`, payload, []byte("x")),
	} {
		t.Run(name, func(t *testing.T) { wantError(t, w.validate(forged), 401, "002-016", badToken) })
	}
	w.wantValid(true, token, rs256)
}

// Who has the key can sign what they like. What they get by that is no more than
// the client may have, of people who signed in to it.
func TestClass26ASharedKeyOpensNothingOfOthers(t *testing.T) {
	w := newWorld(t)
	token := w.legacy(ada, "email")
	_, payload := parts(t, token)
	bob := session.User{Subject: "2f0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "bob", Signin: "local"}
	_, bobs := parts(t, w.legacy(bob, "email"))
	var real, others map[string]any
	for raw, to := range map[string]*map[string]any{payload: &real, bobs: &others} {
		if err := json.Unmarshal([]byte(raw), to); err != nil {
			t.Fatal(err)
		}
	}
	cookie, _ := w.signIn(ada)
	answered := w.token(redemption(w.code(cookie, game())))
	games := w.accessToken(answered, keys.RS256)
	game, _ := w.access(answered)
	for name, change := range map[string]map[string]any{
		"another audience":           {"aud": []string{"server"}},
		"one audience more":          {"aud": []string{"legacy", "server"}},
		"another scope":              {"scp": []string{"email", "playfab"}},
		"no scopes, as an ID token":  {"scp": nil, "aud": "6"},
		"another user":               {"sub": bob.Subject},
		"a session that is none":     {"sid": base64.RawURLEncoding.EncodeToString(make([]byte, 32))},
		"no user and no session":     {"gid": nil, "sid": nil, "sub": "1"},
		"fewer scopes":               {"scp": []string{}},
		"another name":               {"username": "eve"},
		"a group":                    {"groups": []any{map[string]any{"id": 1, "name": "admins", "is_default": true}}},
		"an earlier beginning":       {"iat": real["iat"].(float64) - 1},
		"a license":                  {"license_product": "p", "license_customer_account": "a"},
		"another issuer":             {"iss": "https://evil.example"},
		"a grant with scope offline": {"scp": []string{"email", "offline"}},
		"a grant of another client":  {"gid": games.Grant},
		"a user of another client":   {"gid": games.Grant, "sid": games.SessionID, "sub": games.Subject},
		"a later end":                {"exp": 9000000000},
		"an end an hour later":       {"exp": real["exp"].(float64) + 3600},
		"a grant that is none":       {"gid": "AAAAAAAAAAAAAAAAAAAAAA"},
		"a grant of another user":    {"gid": others["gid"]},
		"another user with a grant of theirs, in another session": {"gid": others["gid"], "sub": others["sub"]},
	} {
		t.Run(name, func(t *testing.T) {
			forged := maps.Clone(real)
			for claim, value := range change {
				if value == nil {
					delete(forged, claim)
				} else {
					forged[claim] = value
				}
			}
			raw, err := json.Marshal(forged)
			if err != nil {
				t.Fatal(err)
			}
			made := hmacJWT(`{"alg":"HS256","typ":"JWT"}`, string(raw), []byte(sharedKey))
			wantError(t, w.validate(made), 401, "002-016", badToken)
			w.revoke(revoking(made, "client_id", "6", "client_secret", secret))
		})
	}
	w.wantValid(true, game)
}

func TestAClientHasClaimsOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.Server.IsProvider = func(signin string) bool { return signin == "acme" }
	tricky := session.User{Subject: "9a0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "{user.email}", Email: "eve@example.com", Avatar: "https://acme.example/eve.png", ProviderID: "eve at acme", Signin: "acme"}
	for _, tt := range []struct {
		name string
		user session.User
		want map[string]any
	}{
		{"of a local user", ada, map[string]any{
			"studio": "The studio", "roles": []any{"players", "crew"}, "display": "ada <ada@example.com>",
		}},
		{"Class28 of one whose name looks like a placeholder, from a provider", tricky, map[string]any{
			"studio": "The studio", "roles": []any{}, "display": "{user.email} <eve@example.com>",
			"picture": tricky.Avatar, "method": "acme", "avatar": tricky.Avatar, "provider": "acme", "id": "eve at acme",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, payload := parts(t, w.legacy(tt.user, "offline"))
			var claims map[string]any
			if err := json.Unmarshal([]byte(payload), &claims); err != nil {
				t.Fatal(err)
			}
			if claims["sub"] != tt.user.Subject || claims["client_id"] != "6" {
				t.Errorf("got %s", payload)
			}
			for _, name := range []string{"studio", "roles", "display", "picture", "method", "avatar", "provider", "id"} {
				if got, want := fmt.Sprint(claims[name]), fmt.Sprint(tt.want[name]); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
		})
	}
	own, _ := w.access(w.token(clientGrant("client_id", "6")))
	_, payload := parts(t, own)
	if !strings.Contains(payload, `"studio":"The studio"`) || strings.Contains(payload, "roles") || strings.Contains(payload, "display") {
		t.Errorf("a token of no user: %s", payload)
	}
	w.wantValid(true, own)
}
