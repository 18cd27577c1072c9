package protocol

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// A projectKey is a published key as clients of the Login API read it: n and e
// in hex.
type projectKey struct {
	Alg, Kid, Kty, Use, N, E, Crv, X, Y string
}

func publishedKeys(t *testing.T, client *harness.Client, portal, project string) []projectKey {
	t.Helper()
	resp := client.Fetch(portal + "/api/projects/" + project + "/keys")
	if resp.Status != http.StatusOK {
		t.Fatalf("%s answered %d: %s", resp.URL, resp.Status, resp.Body)
	}
	var keys []projectKey
	resp.JSON(t, &keys) // a bare array
	if len(keys) == 0 {
		t.Fatalf("no key is published: %s", resp.Body)
	}
	return keys
}

func (k projectKey) public(t *testing.T) any {
	t.Helper()
	switch k.Kty {
	case "RSA":
		n, okN := new(big.Int).SetString(k.N, 16)
		e, okE := new(big.Int).SetString(k.E, 16)
		if !okN || !okE {
			t.Fatalf("n and e are not hex: %+v", k)
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC":
		point := append([]byte{4}, append(b64(t, k.X), b64(t, k.Y)...)...)
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			t.Fatal(err)
		}
		return key
	case "OKP":
		return ed25519.PublicKey(b64(t, k.X))
	}
	t.Fatalf("unknown kty in %+v", k)
	return nil
}

func b64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify checks a token as a client does that takes the first published key
// without looking at its ID, and returns the claims.
func verify(t *testing.T, token string, alg jose.SignatureAlgorithm, keys []projectKey) map[string]any {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		t.Fatalf("parsing the token: %v", err)
	}
	header := parsed.Headers[0]
	if header.KeyID != keys[0].Kid {
		t.Errorf("the token is signed with %q, the first published key is %q", header.KeyID, keys[0].Kid)
	}
	if typ := header.ExtraHeaders[jose.HeaderType]; typ != "JWT" {
		t.Errorf("typ is %v", typ)
	}
	if keys[0].Alg != string(alg) || keys[0].Use != "sig" {
		t.Errorf("the published key is %+v", keys[0])
	}
	var claims map[string]any
	if err := parsed.Claims(keys[0].public(t), &claims); err != nil {
		t.Fatalf("the token does not verify with the published key: %v", err)
	}
	return claims
}
