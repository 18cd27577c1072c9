package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
)

func TestTokensVerifyWithJOSEFromThePublishedKey(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), all...)
	for _, alg := range all {
		set, err := r.Public(t.Context(), alg)
		if err != nil {
			t.Fatal(err)
		}
		// Clients get the key set as JSON.
		document, err := json.Marshal(jose.JSONWebKeySet{Keys: set})
		if err != nil {
			t.Fatal(err)
		}
		var fetched jose.JSONWebKeySet
		if err := json.Unmarshal(document, &fetched); err != nil {
			t.Fatal(err)
		}
		token, err := jwt.ParseSigned(mustSign(t, r, alg), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		var got claims
		if err := token.Claims(fetched, &got); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if got.Subject != "b1d3a2f0" {
			t.Errorf("%s: subject is %q", alg, got.Subject)
		}
		if key := fetched.Keys[0]; key.Algorithm != string(alg) || key.Use != "sig" {
			t.Errorf("%s: published with alg %q and use %q", alg, key.Algorithm, key.Use)
		}
	}
}

func TestTokensVerifyWithTheStandardLibrary(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), all...)
	for _, alg := range all {
		signed, signature := split(t, mustSign(t, r, alg))
		digest := sha256.Sum256([]byte(signed))
		set, err := r.Public(t.Context(), alg)
		if err != nil {
			t.Fatal(err)
		}
		ok := false
		switch key := set[0].Key.(type) {
		case *rsa.PublicKey:
			ok = alg == keys.RS256 && key.N.BitLen() == 2048 &&
				rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
		case *ecdsa.PublicKey:
			ok = alg == keys.ES256 && len(signature) == 64 &&
				ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		case ed25519.PublicKey:
			ok = alg == keys.EdDSA && ed25519.Verify(key, []byte(signed), signature)
		}
		if !ok {
			t.Errorf("%s: the published key, a %T, does not verify the token", alg, set[0].Key)
		}
	}
}

// split returns the signed part of a token, and the signature.
func split(t *testing.T, token string) (signed string, signature []byte) {
	t.Helper()
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	return token[:i], signature
}

// RFC 7638: the key ID is the thumbprint, so verifiers can check it.
func TestTheHeaderNamesAlgorithmKeyAndType(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), all...)
	for _, alg := range all {
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(mustSign(t, r, alg), ".")[0])
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(header, &got); err != nil {
			t.Fatal(err)
		}
		set, err := r.Public(t.Context(), alg)
		if err != nil {
			t.Fatal(err)
		}
		thumbprint, err := set[0].Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		kid := base64.RawURLEncoding.EncodeToString(thumbprint)
		if len(got) != 3 || got["alg"] != string(alg) || got["kid"] != kid || got["typ"] != "JWT" {
			t.Errorf("%s: header is %s, want alg, typ JWT and kid %s", alg, header, kid)
		}
	}
}

func TestVerifyAcceptsOnlyTheListedAlgorithms(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), all...)
	for _, alg := range all {
		token := mustSign(t, r, alg)
		mustVerify(t, r, token, alg)
		mustVerify(t, r, token, all...)
		for _, other := range all {
			if other != alg {
				wantErrToken(t, r, token, other)
			}
		}
		if _, err := r.Verify(t.Context(), token); err == nil {
			t.Errorf("%s: verified without a list of algorithms", alg)
		}
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestForgedTokensAreRefused(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), all...)
	anonymous := newRing(t, keystest.NewVault(), newClock(), all...)
	kid := published(t, r, keys.RS256)[0]
	ecKid := published(t, r, keys.ES256)[0]

	set, err := r.Public(t.Context(), keys.RS256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(set[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	// The classic attack: the RSA public key, in PEM, as an HMAC key (RFC 8725 §2.1).
	mac := func(signed string) string {
		h := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		h.Write([]byte(signed))
		return signed + "." + b64(string(h.Sum(nil)))
	}
	good := mustSign(t, r, keys.RS256)
	parts := strings.Split(good, ".")
	foreign := strings.Split(mustSign(t, anonymous, keys.RS256), ".")
	header := func(h string) string { return b64(h) + "." + parts[1] + "." + parts[2] }

	for name, token := range map[string]string{
		"empty":                               "",
		"dots":                                "..",
		"HMAC by the RSA public key":          mac(b64(`{"alg":"HS256","kid":"`+kid+`"}`) + "." + parts[1]),
		"HMAC that says RS256":                mac(b64(`{"alg":"RS256","kid":"`+kid+`"}`) + "." + parts[1]),
		"none":                                b64(`{"alg":"none","kid":"`+kid+`"}`) + "." + parts[1] + ".",
		"None":                                b64(`{"alg":"None","kid":"`+kid+`"}`) + "." + parts[1] + ".",
		"none with a signature":               header(`{"alg":"none","kid":"` + kid + `"}`),
		"no algorithm":                        header(`{"kid":"` + kid + `"}`),
		"no key ID":                           header(`{"alg":"RS256"}`),
		"unknown key ID":                      header(`{"alg":"RS256","kid":"nobody"}`),
		"key of another algorithm":            header(`{"alg":"RS256","kid":"` + ecKid + `"}`),
		"algorithm of another key":            header(`{"alg":"ES256","kid":"` + kid + `"}`),
		"another header":                      header(`{"alg":"RS256","kid":"` + kid + `"}`),
		"unknown critical header":             header(`{"alg":"RS256","kid":"` + kid + `","crit":["x"],"x":1}`),
		"another payload":                     parts[0] + "." + b64(`{"sub":"admin"}`) + "." + parts[2],
		"no signature":                        parts[0] + "." + parts[1] + ".",
		"two parts":                           parts[0] + "." + parts[1],
		"four parts":                          good + ".x",
		"signed by an unauthenticated client": strings.Join(foreign, "."),
		"an unauthenticated client under our key ID": parts[0] + "." + foreign[1] + "." + foreign[2],
		"general JSON serialization":                 `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
		"flattened JSON serialization":               `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"huge":                                       parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) { wantErrToken(t, r, token, all...) })
	}
	mustVerify(t, r, good, all...)
}

// A key in the token's own header is never used (RFC 8725 §3.10).
func TestAnEmbeddedKeyIsNotTrusted(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), keys.EdDSA)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []string{"", published(t, r, keys.EdDSA)[0]} {
		jwk, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: kid, Algorithm: "EdDSA"})
		if err != nil {
			t.Fatal(err)
		}
		signed := b64(`{"alg":"EdDSA","kid":"`+kid+`","jwk":`+string(jwk)+`}`) + "." + b64(payload)
		wantErrToken(t, r, signed+"."+b64(string(ed25519.Sign(private, []byte(signed)))), keys.EdDSA)
	}
}

// Advisory class 24: the cost of refused tokens is low and bounded.
func TestTokensAreBoundedTo16KiB(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), keys.EdDSA)
	for scope, fits := range map[int]bool{11_000: true, 13_000: false} {
		token, err := r.Sign(t.Context(), keys.EdDSA, claims{Scope: strings.Repeat("x", scope)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), token, keys.EdDSA); (err == nil) != fits {
			t.Errorf("%d bytes: %v, want success %v", len(token), err, fits)
		}
	}
}

func TestAnAlgorithmThatIsNotListedHasNoKeys(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), keys.EdDSA)
	for _, alg := range []keys.Algorithm{keys.RS256, "none", "HS256", ""} {
		if _, err := r.Sign(t.Context(), alg, claims{}); !errors.Is(err, keys.ErrAlgorithm) {
			t.Errorf("Sign with %q: %v, want ErrAlgorithm", alg, err)
		}
		if _, err := r.Public(t.Context(), alg); !errors.Is(err, keys.ErrAlgorithm) {
			t.Errorf("Public of %q: %v, want ErrAlgorithm", alg, err)
		}
	}
	none := keys.NewRing(keystest.NewVault(), keys.Options{Algorithms: []keys.Algorithm{"none"}})
	if err := none.Load(t.Context()); err == nil {
		t.Error("a ring for the algorithm none was loaded")
	}
}

func TestClaimsThatCannotBeEncodedAreAnError(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), keys.EdDSA)
	if token, err := r.Sign(t.Context(), keys.EdDSA, make(chan int)); err == nil {
		t.Errorf("signed %q", token)
	}
}
