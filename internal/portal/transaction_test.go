package portal

import (
	"net/url"
	"testing"
)

func TestAParameterIsTakenOutAndTheRestStays(t *testing.T) {
	for query, left := range map[string]string{
		"prompt=login": "", "a=%20b&prompt=x&c": "a=%20b&c", "%70rompt=x&a=b": "a=b", "prompts=x": "prompts=x", "a=prompt": "a=prompt",
		"prompt&a=+&prompt=": "a=+", "": "",
	} {
		if got := without(query, "prompt"); got != left {
			t.Errorf("%q: %q", query, got)
		}
	}
	if u, err := url.Parse(signInContext{}.address(true)); err != nil || u.String() != SignInPath+"?switch=1" {
		t.Errorf("%v, %v", u, err)
	}
}
