package username_test

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/signin/username"
)

func TestClass20AnAddressWithTwoAtSignsIsNone(t *testing.T) {
	for _, bad := range []string{"a@b@c", "demo@example.com@evil.example", "@example.com", "a@", "@", "", "a b@c", "a@b c", "a,b@c", "<a@b>", `"a"@b`, "a@b\n", "a\x00@b", "a@b;c@d", strings.Repeat("a", 250) + "@b.cd"} {
		if got, err := username.CanonicalEmail(bad); err == nil {
			t.Errorf("%q was taken for %q", bad, got)
		}
	}
	if got, err := username.CanonicalEmail("Demo+x@Example.COM"); err != nil || got != "demo+x@example.com" {
		t.Errorf("%q, %v", got, err)
	}
}

// So that names in ASCII, which are looked up at every request, need no PRECIS.
func TestPRECISChangesNothingOfPrintableASCIIButTheCase(t *testing.T) {
	check := func(name string) {
		t.Helper()
		if c, err := username.Canonical(name); err != nil || c != strings.ToLower(name) {
			t.Errorf("%q becomes %q, %v", name, c, err)
		}
		if c := username.Compatible(name); c != name {
			t.Errorf("%q is the same as %q", name, c)
		}
	}
	all := ""
	for c := '!'; c <= '~'; c++ {
		all += string(c)
		check(string(c))
	}
	check(all)
	for i := range len(all) {
		check(all[i:] + all[:i])
	}
}

func TestSeparatorsButForThePlainSpaceAreNotVisible(t *testing.T) {
	for _, r := range " a\u00e9\u0e33\u28ff\u2010" {
		if !username.Visible("de" + string(r) + "mo") {
			t.Errorf("%U is not", r)
		}
	}
	for _, r := range "\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u2800\u3000" {
		if name := "de" + string(r) + "mo"; username.Visible(name) || username.Plain(name) != "demo" {
			t.Errorf("%U is, or stays in %q", r, username.Plain(name))
		}
	}
}
