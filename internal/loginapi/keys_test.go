package loginapi_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
)

func keyList(t *testing.T, a answer) []map[string]string {
	t.Helper()
	var list []map[string]string
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil || a.Status != http.StatusOK || len(list) == 0 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return list
}

func members(t *testing.T, key map[string]string, names ...string) {
	t.Helper()
	if len(key) != len(names) {
		t.Errorf("has the members %v, want %v", key, names)
	}
	for _, name := range names {
		if key[name] == "" {
			t.Errorf("has no %s", name)
		}
	}
}

// public rebuilds a key from what the API lists, as a client does.
func public(t *testing.T, key map[string]string) any {
	t.Helper()
	b64 := func(name string) []byte {
		raw, err := base64.RawURLEncoding.DecodeString(key[name])
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	switch key["kty"] {
	case "RSA":
		members(t, key, "alg", "e", "kid", "kty", "n", "use")
		n, okN := new(big.Int).SetString(key["n"], 16)
		e, okE := new(big.Int).SetString(key["e"], 16)
		if !okN || !okE || key["e"] != "10001" || len(key["n"]) != 512 {
			t.Fatalf("n and e are not in hex: %v", key)
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC":
		members(t, key, "alg", "crv", "kid", "kty", "use", "x", "y")
		k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, b64("x")...), b64("y")...))
		if err != nil || key["crv"] != "P-256" {
			t.Fatalf("%v: %v", key, err)
		}
		return k
	case "OKP":
		members(t, key, "alg", "crv", "kid", "kty", "use", "x")
		if key["crv"] != "Ed25519" {
			t.Error(key)
		}
		return ed25519.PublicKey(b64("x"))
	}
	t.Fatalf("kty %s", key["kty"])
	return nil
}

func TestTheKeysOfAProjectVerifyItsTokens(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for id, tt := range map[string]struct {
		alg   keys.Algorithm
		token func() answer
	}{
		"1":     {keys.RS256, func() answer { return w.token(redemption(w.code(cookie, game()))) }},
		"2":     {keys.ES256, func() answer { return w.token(backendRedemption(w.code(cookie, backend()))) }},
		project: {keys.ES256, func() answer { return w.token(backendRedemption(w.code(cookie, backend()))) }},
		"4": {keys.EdDSA, func() answer {
			return w.token(redemption(w.code(cookie, game("client_id", "4", "redirect_uri", "https://older.example/cb", "audience", "older")),
				"client_id", "4", "redirect_uri", "https://older.example/cb"))
		}},
	} {
		t.Run(id, func(t *testing.T) {
			a := w.Get("/api/projects/"+id+"/keys", "")
			wantHeaders(t, a, "Content-Type", "application/json", "Access-Control-Allow-Origin", "*",
				"Cache-Control", "public, max-age=300", "X-Content-Type-Options", "nosniff")
			first := keyList(t, a)[0]
			if first["alg"] != string(tt.alg) || first["use"] != "sig" {
				t.Errorf("first is %v", first)
			}
			var body struct {
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal([]byte(tt.token().Body), &body); err != nil {
				t.Fatal(err)
			}
			signed, err := jose.ParseSignedCompact(body.Token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(tt.alg)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := signed.Verify(public(t, first)); err != nil || signed.Signatures[0].Protected.KeyID != first["kid"] {
				t.Errorf("does not verify: %v", err)
			}
		})
	}
}

func TestTheActiveKeyComesFirstWhileKeysRotate(t *testing.T) {
	w := newWorld(t)
	w.Server.Keys = keys.NewRing(keystest.NewVault(), keys.Options{Now: w.Clock.Now, Algorithms: []keys.Algorithm{keys.ES256}, Rotate: 48 * time.Hour, Overlap: 24 * time.Hour})
	ids := func() (kids []string) {
		if err := w.Server.Keys.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, k := range keyList(t, w.Get("/api/projects/2/keys", "")) {
			kids = append(kids, k["kid"])
		}
		return kids
	}
	before := ids()
	w.Clock.Advance(25 * time.Hour)
	announced := ids()
	w.Clock.Advance(24 * time.Hour)
	after := ids()
	if len(before) != 1 || len(announced) != 2 || announced[0] != before[0] || len(after) < 2 || after[0] != announced[1] {
		t.Errorf("the keys were %v, then %v, then %v", before, announced, after)
	}
}

func TestAProjectThatIsUnknownIsNotFound(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"99", "01", "x", "%20", "-", "%2e%2e", "40db2ea4-5c1c-11e6-a3ff-005056a0e04b", "1%00"} {
		wantError(t, w.Get("/api/projects/"+id+"/keys", ""), 404, "003-019", "Project not found.")
	}
}

func TestAScriptOfAnyOriginMayAskForKeys(t *testing.T) {
	w := newWorld(t)
	a := w.Send(http.MethodOptions, "/api/projects/1/keys", "", "Origin", "https://any.example", "Access-Control-Request-Method", "GET")
	if a.Status != http.StatusNoContent {
		t.Errorf("the preflight: %d %s", a.Status, a.Body)
	}
	wantHeaders(t, a, "Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "GET, HEAD",
		"Access-Control-Allow-Headers", "*", "Access-Control-Allow-Credentials", "")
	a = w.Send(http.MethodOptions, "/api/projects/1/keys", "", "Origin", "https://any.example")
	wantError(t, a, 405, "0", "The method is not allowed.")
}
