package httpapi_test

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
)

func TestAParameterIsTakenOutAndTheRestStays(t *testing.T) {
	for query, left := range map[string]string{
		"prompt=login": "", "a=%20b&prompt=x&c": "a=%20b&c", "%70rompt=x&a=b": "a=b", "prompts=x": "prompts=x", "a=prompt": "a=prompt",
		"prompt&a=+&prompt=": "a=+", "": "",
	} {
		if got := httpapi.WithoutParams(query, "prompt"); got != left {
			t.Errorf("%q: %q", query, got)
		}
	}
}
