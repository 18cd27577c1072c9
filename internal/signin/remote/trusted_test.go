package remote_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
)

func TestATrustedPageIsOneThatKeepsAState(t *testing.T) {
	for raw, right := range map[string]bool{
		"https://www.game.example/sign-in": true, "http://localhost:1/x?a=b": true, "http://www.game.example/": false, "": false, "/sign-in": false,
		"https://a@b.example/": false, "https://a.example/#x": false, "javascript:alert(1)": false,
	} {
		_, err := remote.NewTrusted(remote.TrustedOptions{ID: "x", URL: raw, Secret: remotetest.SharedSecret})
		if (err == nil) != right {
			t.Errorf("%q: %v", raw, err)
		}
	}
	method, err := remote.NewTrusted(remote.TrustedOptions{ID: "x", URL: "https://a.example", Secret: remotetest.SharedSecret})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %+v %#v %s", method, method, method, method); strings.Contains(got, remotetest.SharedSecret) {
		t.Errorf("it prints as %s", got)
	}
	if _, err := remote.NewTrusted(remote.TrustedOptions{ID: "x", URL: "https://a.example", Secret: "short"}); err == nil {
		t.Error("a short secret was taken")
	}
}
