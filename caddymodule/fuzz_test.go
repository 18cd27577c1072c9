package caddymodule

import (
	"strings"
	"testing"
)

// Whatever stands between the braces, the adapter answers with JSON or an
// error; and what it takes, provisioning survives.
func FuzzCaddyfile(f *testing.F) {
	option := right[strings.Index(right, "sso {")+len("sso {") : strings.Index(right, "\t}\n}\nhttps://login")]
	f.Add(strings.ReplaceAll(option, "HASH", demoHash), "client 1")
	for _, seed := range []string{
		"", "{", "}", "issuer", "issuer {\n}", "issuer https://login.example {\nx\n}", "storage", "storage redis {\n}", "storage file {", "storage memory {\n}\n}",
		"session {\nidle\n}", "session {", "session 1 {\n}", "codes {\ncapacity 99999999999999999999\n}", "signin", "signin local {\nuser\n}",
		"signin local {\nuser a $2a$\n}", "client", "client {\n}", "client 1 {\nredirect_uri\n}", "client 1 {\nsecret \"\"\n}", "brand {\naccent #\n}",
		"issuer https://[::1", "issuer \x00", "import x", "issuer {$X}", "issuer `\n`", "issuer \"", "issuer <<A\nx\nA", "session {\nidle 9999999999999d\n}",
	} {
		f.Add("issuer https://login.example\nsignin local\n"+seed, seed)
		f.Add(seed, "client 1\n"+seed)
	}
	f.Fuzz(func(t *testing.T, option, gate string) {
		if strings.Contains(option, "import") || strings.Contains(gate, "import") {
			return // it reads files
		}
		config, err := adapt("{\nsso {\n" + option + "\n}\n}\nhttps://game.example {\nsso_gate {\n" + gate + "\n}\nsso_portal\n}\n")
		if err == nil && len(config) == 0 {
			t.Error("neither JSON nor an error")
		}
	})
}
