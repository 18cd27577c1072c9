package keys_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
)

// spellings are strings that a lenient decoder decodes to the same bytes as the token.
func spellings(token string) map[string]string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	all := map[string]string{
		"a line break at the end":        token + "\n",
		"a line break at the beginning":  "\r\n" + token,
		"a line break in the header":     token[:4] + "\n" + token[4:],
		"a line break in the signature":  token[:len(token)-2] + "\r" + token[len(token)-2:],
		"line breaks around a full stop": strings.Replace(token, ".", "\n.\n", 1),
		"padding":                        token + "=",
		"two characters of padding":      token + "==",
	}
	for i, part := range strings.Split(token, ".") {
		if len(part)%4 == 0 {
			continue
		}
		parts := strings.Split(token, ".")
		last := strings.IndexByte(alphabet, part[len(part)-1])
		parts[i] = part[:len(part)-1] + alphabet[last+1:last+2]
		all["spare bits of part "+string(rune('1'+i))] = strings.Join(parts, ".")
	}
	return all
}

func TestATokenHasOnlyOneSpelling(t *testing.T) {
	ring, key := newRing(t, keystest.NewVault(), newClock(), all...), shared(t, strings.Repeat("k", 32))
	verify := map[keys.Algorithm]func(token string) error{keys.HS256: func(token string) error {
		_, err := key.Verify(token)
		return err
	}}
	tokens := map[keys.Algorithm]string{}
	for _, alg := range all {
		verify[alg] = func(token string) error {
			_, err := ring.Verify(t.Context(), token, all...)
			return err
		}
		tokens[alg] = mustSign(t, ring, alg)
	}
	var err error
	if tokens[keys.HS256], err = key.Sign(claims{}); err != nil {
		t.Fatal(err)
	}
	for alg, token := range tokens {
		if err := verify[alg](token); err != nil {
			t.Errorf("%s: the original spelling: %v", alg, err)
		}
		for name, other := range spellings(token) {
			if err := verify[alg](other); !errors.Is(err, keys.ErrToken) {
				t.Errorf("%s: %s: %v", alg, name, err)
			}
		}
	}
}
