package loginapi

import (
	"os"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestEveryKindOfErrorHasAStatusAndACode(t *testing.T) {
	for _, kind := range oauth.Kinds() {
		if r := refusals[kind]; r.status < 400 || r.code == "" {
			t.Errorf("kind %d has status %d and code %q", kind, r.status, r.code)
		}
	}
	if len(refusals) != len(oauth.Kinds()) {
		t.Errorf("%d refusals for %d kinds", len(refusals), len(oauth.Kinds()))
	}
}

func TestEveryCodeIsInTheDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/login-api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(document), "| status | code | when |")
	if !found {
		t.Fatal("there is no table of errors")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	codes := []string{"002-040", "1901-0001"} // of no kind of their own
	for _, r := range refusals {
		codes = append(codes, r.code)
	}
	for _, code := range codes {
		if !strings.Contains(table, code) {
			t.Errorf("docs/login-api.md does not explain %s", code)
		}
	}
}
