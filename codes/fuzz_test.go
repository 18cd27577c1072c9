package codes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/codes"
)

// FuzzRedeem checks that only one spelling of the issued code can be redeemed.
func FuzzRedeem(f *testing.F) {
	c := codes.NewMemory(codes.Options{Now: newClock().Now})
	code := mustIssue(f, c, record(1), codes.Limits{})
	for _, seed := range []string{
		"", code, code + "=", code[:42], code[:42] + nonCanonical(code[42]), code[:21] + "\r\n" + code[21:],
		strings.Repeat("A", 43), strings.Repeat("_", 43), strings.Repeat("A", 4096), "\x00", "%41",
	} {
		f.Add(seed)
	}
	refused := errors.New("refused")
	f.Fuzz(func(t *testing.T, s string) {
		_, err := c.Redeem(t.Context(), s, func(*codes.Record) error { return refused })
		want := codes.ErrUnknown
		if s == code {
			want = refused
		}
		if err != want {
			t.Errorf("Redeem(%q): %v, want %v", s, err, want)
		}
	})
}
