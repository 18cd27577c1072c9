package oauth_test

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// The values are the spellings of the keys by the WHATWG URL Standard.
var spellings = map[string]string{
	"HTTPS://game.example/cb":               "https://game.example/cb",
	"https://Game.Example/CB":               "https://game.example/CB",
	"https://game.example:443/cb":           "https://game.example/cb",
	"https://game.example:0443/cb":          "https://game.example/cb",
	"https://game.example:08443/cb":         "https://game.example:8443/cb",
	"https://game.example:/cb":              "https://game.example/cb",
	"https://game.example./cb":              "https://game.example/cb",
	"https://bücher.example/cb":             "https://xn--bcher-kva.example/cb",
	"https://BÜCHER.example/cb":             "https://xn--bcher-kva.example/cb",
	"https://bu\u0308cher.example/cb":       "https://xn--bcher-kva.example/cb",
	"https://straße.example/cb":             "https://xn--strae-oqa.example/cb",
	"https://例え。テスト/cb":                     "https://xn--r8jz45g.xn--zckzah/cb",
	"https://ｇａｍｅ.example/cb":               "https://game.example/cb",
	"https://b%C3%BCcher.example/cb":        "https://xn--bcher-kva.example/cb",
	"https://%67ame.example/cb":             "https://game.example/cb",
	"https://[2001:DB8::1]/cb":              "https://[2001:db8::1]/cb",
	"https://[2001:db8:0:0:0:0:0:1]:443/cb": "https://[2001:db8::1]/cb",
	"https://[2001:db8:0:1:0:0:0:1]/cb":     "https://[2001:db8:0:1::1]/cb",
	"https://[::ffff:192.0.2.1]/cb":         "https://[::ffff:c000:201]/cb",
	"https://[::192.0.2.1]:8443/cb":         "https://[::c000:201]:8443/cb",
	"http://[0:0:0:0:0:0:0:1]:8080/cb":      "http://[::1]:8080/cb",
	"https://3221225985/cb":                 "https://192.0.2.1/cb",
	"https://0xC0000201/cb":                 "https://192.0.2.1/cb",
	"https://0300.0.02.1/cb":                "https://192.0.2.1/cb",
	"https://192.0.513/cb":                  "https://192.0.2.1/cb",
	"https://192.0.2.1./cb":                 "https://192.0.2.1/cb",
	"http://127.1:8080/cb":                  "http://127.0.0.1:8080/cb",
	"http://0x7f.1/cb":                      "http://127.0.0.1/cb",
	"https:/game.example/cb":                "https://game.example/cb",
	"https://game.example/./cb":             "https://game.example/cb",
	"https://game.example/a/../cb":          "https://game.example/cb",
	"https://game.example/../cb":            "https://game.example/cb",
	"https://game.example/a/%2E%2e/cb":      "https://game.example/cb",
	"https://game.example/a/.%2e":           "https://game.example/",
	"https://game.example/a/.":              "https://game.example/a/",
	"https://game.example/café":             "https://game.example/caf%C3%A9",
	"https://game.example/cb?name=café":     "https://game.example/cb?name=caf%C3%A9",
	"https://game.example/cb?x='a'":         "https://game.example/cb?x=%27a%27",
}

func TestASpellingThatNoBrowserSendsIsRefusedAndTheErrorHasTheRightOne(t *testing.T) {
	for raw, right := range spellings {
		for name, parse := range map[string]func(string) error{
			"redirect_uri":             func(s string) error { _, err := oauth.ParseRedirectURI(s); return err },
			"post_logout_redirect_uri": func(s string) error { _, err := oauth.ParsePostLogoutRedirectURI(s); return err },
			"fail_auth_url":            func(s string) error { _, err := oauth.ParseFailAuthURL(s); return err },
		} {
			if err := parse(raw); err == nil || !strings.HasSuffix(err.Error(), "register "+right) {
				t.Errorf("%s %s: %v, want %s", name, raw, err, right)
			}
			if err := parse(right); err != nil {
				t.Errorf("the right one: %v", err)
			}
		}
	}
}

func TestAHostThatNoBrowserKnowsIsRefused(t *testing.T) {
	for _, raw := range []string{
		"https://256.0.0.1/cb", "https://1.2.3.4.5/cb", "https://game.256/cb", "https://0x100000000/cb", "https://09.1/cb", "https://game.0x1/cb",
		"https://[::1/cb", "https://[1::2::3]/cb", "https://[fe80::1%25eth0]/cb", "https://[192.0.2.1]/cb", "https://xn--a/cb", "https://a%00b/cb", "https://./cb",
	} {
		if r, err := oauth.ParseRedirectURI(raw); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%s: %+v, %v", raw, r, err)
		}
	}
}

// A spelling that browsers send unchanged is registered unchanged.
func TestASpellingOfBrowsersIsAccepted(t *testing.T) {
	for _, raw := range []string{
		"https://game.example", "https://game.example/", "https://game.example?x=1", "https://game.example:8443/a//b;c/%7Eann/a%2fb?x=%20&y=a&y",
		"https://my_game.example/cb", "https://xn--bcher-kva.example/cb", "https://a--b.example/...", "https://1.game.example/cb", "https://[2001:db8::1]:8443/cb",
		// Port 80 can be intended: without a port these match all ports.
		"http://localhost:80/cb", "http://127.0.0.1:80/cb", "http://[::1]:80/cb",
		// Browsers do not rewrite these. The application decides the spelling.
		"com.Example.Game:/cb", "MyGame://Host/../cb",
	} {
		if _, err := oauth.ParseRedirectURI(raw); err != nil {
			t.Error(err)
		}
	}
}

// A requested URL is compared in any spelling.
func TestARequestMayNameAnyPageOfARegisteredOrigin(t *testing.T) {
	f, err := oauth.ParseFailAuthURL("https://game.example")
	if err != nil {
		t.Fatal(err)
	}
	for requested, want := range map[string]bool{"https://Game.Example:443/a": true, "https://game.example/*": true, "https://game.example.evil.example/": false} {
		if f.Matches(requested) != want {
			t.Errorf("%s: %v", requested, !want)
		}
	}
}

func FuzzBrowserSpelling(f *testing.F) {
	for raw := range spellings {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := oauth.BrowserSpelling(raw)
		if err != nil {
			return
		}
		if twice, err := oauth.BrowserSpelling(once); err != nil || twice != once {
			t.Errorf("%q is %q, and that is %q (%v)", raw, once, twice, err)
		}
	})
}
