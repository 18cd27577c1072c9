package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
)

// benchClaims has about the size of the claims of an access token.
var benchClaims = map[string]any{
	"iss": "https://sso.example", "sub": "b1d3a2f0-7f0e-4e0e-9d50-2a2a9f0a1c11", "aud": []string{"https://api.example"},
	"iat": 1772366400, "exp": 1772370000, "jti": "7d0c9c1e-3e8b-4a39-8ad9-9f4c2f5e6a71", "scp": []string{"email", "offline"},
	"groups": []map[string]any{{"id": 1, "name": "default", "is_default": true}},
}

// BenchmarkSign also measures the bare signature of as many bytes with the same key.
// The difference is the cost of JSON and base64.
func BenchmarkSign(b *testing.B) {
	for _, alg := range all {
		vault := keystest.NewVault()
		r := newRing(b, vault, newClock(), alg)
		token, err := r.Sign(b.Context(), alg, benchClaims)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(alg)+"/token", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Sign(b.Context(), alg, benchClaims); err != nil {
					b.Fatal(err)
				}
			}
		})
		sign := rawSigner(b, vault, alg)
		b.Run(string(alg)+"/raw", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := sign([]byte(token)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// rawSigner returns a function that only signs, with the key in vault.
func rawSigner(b *testing.B, vault keys.Vault, alg keys.Algorithm) func([]byte) error {
	b.Helper()
	blob, _, err := vault.Load(b.Context(), "signing-"+string(alg))
	if err != nil {
		b.Fatal(err)
	}
	var stored struct{ Keys []struct{ PKCS8 []byte } }
	if err := json.Unmarshal(blob, &stored); err != nil {
		b.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(stored.Keys[0].PKCS8)
	if err != nil {
		b.Fatal(err)
	}
	return func(message []byte) error {
		digest := sha256.Sum256(message)
		switch key := private.(type) {
		case *rsa.PrivateKey:
			_, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		case *ecdsa.PrivateKey:
			_, _, err = ecdsa.Sign(rand.Reader, key, digest[:])
		case ed25519.PrivateKey:
			ed25519.Sign(key, message)
		}
		return err
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range all {
		b.Run(string(alg), func(b *testing.B) {
			r := newRing(b, keystest.NewVault(), newClock(), alg)
			token, err := r.Sign(b.Context(), alg, benchClaims)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Verify(b.Context(), token, alg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	r := newRing(b, keystest.NewVault(), newClock())
	plaintext := make([]byte, 512)
	b.ReportAllocs()
	b.SetBytes(int64(len(plaintext)))
	for b.Loop() {
		if _, err := r.Seal(b.Context(), "sign-in", plaintext); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnseal(b *testing.B) {
	r := newRing(b, keystest.NewVault(), newClock())
	sealed := mustSeal(b, r, "sign-in", string(make([]byte, 512)))
	b.ReportAllocs()
	b.SetBytes(512)
	for b.Loop() {
		if _, err := r.Unseal(b.Context(), "sign-in", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
