package licenseapi

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestEveryKindOfErrorHasAStatusAndACode(t *testing.T) {
	for _, kind := range oauth.Kinds() {
		if r := refusals[kind]; r.status < 400 || r.code == "" {
			t.Errorf("kind %d has status %d and code %q", kind, r.status, r.code)
		}
	}
}
