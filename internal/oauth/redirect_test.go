package oauth_test

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestValidRedirectURIsCanBeRegistered(t *testing.T) {
	for raw, origin := range map[string]string{ // and the web origin it has
		"https://game.example/cb":         "https://game.example",
		"https://game.example":            "https://game.example",
		"https://game.example/CB?x=1&y":   "https://game.example",
		"https://game.example:8443/a%20b": "https://game.example:8443",
		"https://xn--nxasmq6b.example/cb": "https://xn--nxasmq6b.example",
		"https://127.0.0.1/cb":            "https://127.0.0.1",
		"http://localhost:8081/cb":        "http://localhost:8081",
		"http://localhost:80/cb":          "http://localhost",
		"http://app.localhost/cb":         "http://app.localhost",
		"http://127.0.0.2:9/cb":           "http://127.0.0.2:9",
		"http://127.0.0.1/cb":             "",
		"http://127.0.0.1:8080/cb":        "",
		"http://[::1]/cb":                 "",
		"com.example.game:/cb":            "",
		"com.example.game://host/cb?x=1":  "",
		"myapp:cb":                        "",
	} {
		r, err := oauth.ParseRedirectURI(raw)
		if err != nil {
			t.Error(err)
			continue
		}
		if r.Raw != raw || !r.Matches(raw) || r.Origin() != origin {
			t.Errorf("%s: raw %s, origin %q", raw, r.Raw, r.Origin())
		}
	}
}

func TestClass10And11InvalidRedirectURIsCannotBeRegistered(t *testing.T) {
	for raw, why := range map[string]string{
		"":                                   "is empty",
		"/cb":                                "not absolute",
		"//game.example/cb":                  "not absolute",
		"game.example/cb":                    "not absolute",
		`/\game.example`:                     "has characters",
		"https:game.example":                 "register https://game.example",
		"https:///game.example":              "register https://game.example",
		"https://":                           "no host",
		"https://:443/cb":                    "no host",
		"https://game.example/cb#f":          "fragment",
		"https://game.example/cb#":           "fragment",
		"com.example.game:/cb#f":             "fragment",
		"https://user@game.example/cb":       "user information",
		"https://user:pw@game.example/cb":    "user information",
		"https://@game.example/cb":           "user information",
		"com.example.game://u@host/cb":       "user information",
		`https://game.example\@evil.example`: "has characters",
		`https:\\game.example/cb`:            "has characters",
		"https://game.example/c b":           "has characters",
		" https://game.example/cb":           "has characters",
		"https://game.example/cb\n":          "has characters",
		"https://game.example/cb\x00":        "has characters",
		"https://game.example/{cb}":          "has characters",
		`https://game.example/"cb"`:          "has characters",
		"https://gäme.example/cb":            "register https://xn--gme-qla.example/cb",
		"https://game。example/cb":            "register https://game.example/cb",
		"https://g%c3%a4me.example/cb":       "register https://xn--gme-qla.example/cb",
		"https://game%2eexample/cb":          "register https://game.example/cb",
		"https://*.game.example/cb":          "wildcard",
		"https://game.example/*":             "wildcard",
		"https://game.example/*/cb":          "wildcard",
		"com.example.game:/*":                "wildcard",
		"https://game.example:/cb":           "register https://game.example/cb",
		"https://game.example:0/cb":          "port",
		"https://game.example:00443/cb":      "register https://game.example/cb",
		"https://game.example:65536/cb":      "port",
		"https://game.example:x/cb":          "not a URL",
		"http://127.0.0.1:/cb":               "register http://127.0.0.1/cb",
		"http://[::1]:/cb":                   "register http://[::1]/cb",
		"https://game.example/%zz":           "not a URL",
		"http://game.example/cb":             "http is for loopback only",
		"http://localhost.evil.example/cb":   "http is for loopback only",
		"http://127.0.0.1.evil.example/cb":   "http is for loopback only",
		"http://localhost./cb":               "register http://localhost/cb",
		"http://0.0.0.0/cb":                  "http is for loopback only",
		"http://127.1/cb":                    "register http://127.0.0.1/cb",
		"http://2130706433/cb":               "register http://127.0.0.1/cb",
		"http://[::]/cb":                     "http is for loopback only",
		"javascript:alert(1)":                "cannot take a code",
		"JavaScript:alert(1)":                "cannot take a code",
		"data:text/html,x":                   "cannot take a code",
		"vbscript:x":                         "cannot take a code",
		"file:///etc/passwd":                 "cannot take a code",
		"blob:https://game.example/1":        "cannot take a code",
		"about:blank":                        "cannot take a code",
		"ws://game.example/cb":               "cannot take a code",
	} {
		r, err := oauth.ParseRedirectURI(raw)
		if err == nil {
			t.Errorf("registered %q as %+v", raw, r)
		} else if !strings.Contains(err.Error(), why) || !strings.HasPrefix(err.Error(), "redirect_uri ") {
			t.Errorf("%q: %v, want %q", raw, err, why)
		}
	}
}

// Simple string comparison (RFC 9700 section 4.1.3), except for the port of a
// loopback address (RFC 8252 section 7.3).
func TestClass10And11OnlyTheRegisteredBytesMatch(t *testing.T) {
	for _, tt := range []struct {
		registered string
		match      []string
		differ     []string
	}{
		{
			"https://game.example/cb?x=1", nil,
			[]string{
				"", "https://game.example/cb", "https://game.example/cb?x=1&y=2", "https://game.example/cb?x=1&x=1", "https://game.example/cb?x=1&", "https://game.example/cb?x=2",
				"https://game.example/cb?x=1#f", "https://game.example/cb?x=%31", "https://game.example/%63b?x=1", "https://game.example/cb/?x=1", "https://game.example/CB?x=1",
				"https://GAME.example/cb?x=1", "HTTPS://game.example/cb?x=1", "http://game.example/cb?x=1", "https://game.example:443/cb?x=1", "https://game.example:8443/cb?x=1",
				"https://game.example./cb?x=1", "https://game.example.evil.example/cb?x=1", "https://evilgame.example/cb?x=1", "https://gameXexample/cb?x=1",
				"https://user@game.example/cb?x=1", "https://game.example@evil.example/cb?x=1", `https://game.example\@evil.example/cb?x=1`, "https://evil.example/https://game.example/cb?x=1",
				"//game.example/cb?x=1", "https:game.example/cb?x=1", "https:/game.example/cb?x=1", "https:///game.example/cb?x=1", `https:\\game.example/cb?x=1`,
				" https://game.example/cb?x=1", "https://game.example/cb?x=1 ", "https://game.example/cb?x=1\n", "https://game.example/cb?x=1\x00", "https://game.example/./cb?x=1",
				"https://game.example//cb?x=1", "https://game.example/x/../cb?x=1", "https://game.example/cb;y?x=1", "https://gаme.example/cb?x=1", "https://game.example/cb?x=1%00",
			},
		},
		{
			"http://127.0.0.1/cb?x=1",
			[]string{"http://127.0.0.1:1/cb?x=1", "http://127.0.0.1:80/cb?x=1", "http://127.0.0.1:65535/cb?x=1"},
			[]string{
				"http://127.0.0.1:/cb?x=1", "http://127.0.0.1:0/cb?x=1", "http://127.0.0.1:65536/cb?x=1", "http://127.0.0.1:99999/cb?x=1", "http://127.0.0.1:00080/cb?x=1", "http://127.0.0.1:080/cb?x=1",
				"http://127.0.0.1:8o/cb?x=1", "http://127.0.0.1:-1/cb?x=1", "http://127.0.0.1:+1/cb?x=1", "http://127.0.0.1: 1/cb?x=1", "http://127.0.0.1:1:2/cb?x=1", "http://127.0.0.1:%38/cb?x=1",
				"http://127.0.0.1:80", "http://127.0.0.1:80/", "http://127.0.0.1:80/cb", "http://127.0.0.1:80/cb?x=1&y=2", "http://127.0.0.1:80/cb?x=1#f", "http://127.0.0.1:80/CB?x=1",
				"http://127.0.0.1:80@evil.example/cb?x=1", "http://127.0.0.1@evil.example/cb?x=1", "http://127.0.0.1.evil.example/cb?x=1", "http://127.0.0.1:80.evil.example/cb?x=1",
				"http://u@127.0.0.1:80/cb?x=1", "https://127.0.0.1:80/cb?x=1", "HTTP://127.0.0.1:80/cb?x=1", "http://127.0.0.2:80/cb?x=1", "http://localhost:80/cb?x=1", "http://[::1]:80/cb?x=1",
				"http://127.1:80/cb?x=1", "http://0x7f.0.0.1:80/cb?x=1", "http://127.0.0.1:١/cb?x=1",
			},
		},
		{
			"http://127.0.0.1:8080/cb",
			[]string{"http://127.0.0.1/cb", "http://127.0.0.1:9090/cb"},
			[]string{"http://127.0.0.1:8080/cb/", "http://127.0.0.1:80808080/cb", "http://127.0.0.18080/cb"},
		},
		{
			"http://127.0.0.1",
			[]string{"http://127.0.0.1:9090"},
			[]string{"http://127.0.0.1:9090/", "http://127.0.0.1/", "http://127.0.0.1:9090?x", "http://127.0.0.11"},
		},
		{
			"http://[::1]:5/cb",
			[]string{"http://[::1]/cb", "http://[::1]:6/cb"},
			[]string{"http://[::1]6/cb", "http://[::1]:/cb", "http://::1:6/cb", "http://[::2]:6/cb", "http://[0:0:0:0:0:0:0:1]:6/cb", "http://[::1%25lo]:6/cb", "http://[::ffff:127.0.0.1]:6/cb", "http://127.0.0.1:6/cb"},
		},
		// A name is not an address: the resolver decides what localhost is.
		{"http://localhost:8081/cb", nil, []string{"http://localhost/cb", "http://localhost:8082/cb", "http://127.0.0.1:8081/cb", "http://LOCALHOST:8081/cb", "http://localhost.:8081/cb"}},
		{"https://127.0.0.1/cb", nil, []string{"https://127.0.0.1:443/cb", "https://127.0.0.1:8443/cb", "http://127.0.0.1/cb"}},
		{"http://127.0.0.2/cb", nil, []string{"http://127.0.0.2:80/cb"}},
		{"com.example.game:/cb", nil, []string{"com.example.game://cb", "com.example.game:/cb/", "com.example.game:cb", "COM.example.game:/cb", "com.example.game2:/cb"}},
	} {
		r := redirectURI(t, tt.registered)
		for _, requested := range append(tt.match, tt.registered) {
			if !r.Matches(requested) {
				t.Errorf("%s does not match %q", tt.registered, requested)
			}
		}
		for _, requested := range tt.differ {
			if r.Matches(requested) {
				t.Errorf("%s matches %q", tt.registered, requested)
			}
		}
	}
}

func TestTheZeroRedirectURIMatchesNoURL(t *testing.T) {
	if (oauth.RedirectURI{}).Matches("https://game.example/") {
		t.Error("it matches")
	}
}

func TestClass10FailAuthURLsAreAURLOrAnOrigin(t *testing.T) {
	for _, tt := range []struct {
		registered string
		match      []string
		differ     []string
	}{
		{
			"https://game.example/out?x=1", nil,
			[]string{"https://game.example/out", "https://game.example/out?x=1&y", "https://game.example/", "https://game.example", "https://GAME.example/out?x=1", ""},
		},
		{"https://game.example/", nil, []string{"https://game.example", "https://game.example/x", "https://game.example//evil.example"}},
		{
			"https://fail.example",
			[]string{"https://fail.example/", "https://fail.example/any?x=%20", "https://fail.example:443/x", "https://FAIL.example/x", "https://fail.example?x"},
			[]string{
				"", "/x", "//fail.example/x", "https:fail.example/x", "https:/fail.example/x", "https:///fail.example", "http://fail.example/x", "https://fail.example:8443/x", "https://fail.example./x",
				"https://fail.example.evil.example/", "https://evil.example/fail.example", "https://u@fail.example/", "https://fail.example@evil.example/", "https://fail.example:x@evil.example/",
				`https://fail.example\@evil.example/`, `https://evil.example\.fail.example/`, "https://fail.example/#f", "https://fail.example#@evil.example", "https://fail.example/ x", "https://fail.example/\r\nX: y",
				"https://fail.example:/x", "https://fail.example%2eevil.example/", "https://fail.example%00.evil.example/", "https://fail。example/", "javascript://fail.example/%0aalert(1)", "ftp://fail.example/x",
			},
		},
		{"http://localhost:8081", []string{"http://localhost:8081/x"}, []string{"http://localhost:8082/x", "https://localhost:8081/x", "http://127.0.0.1:8081/x"}},
		{"http://127.0.0.1:8081", []string{"http://127.0.0.1:8081/x"}, []string{"http://127.0.0.1:8082/x", "http://127.0.0.1/"}},
	} {
		f := failAuthURL(t, tt.registered)
		for _, requested := range append(tt.match, tt.registered) {
			if !f.Matches(requested) {
				t.Errorf("%s does not match %q", tt.registered, requested)
			}
		}
		for _, requested := range tt.differ {
			if f.Matches(requested) {
				t.Errorf("%s matches %q", tt.registered, requested)
			}
		}
	}
	for _, raw := range []string{"", "/out", "http://game.example/out", "com.example.game:/out", "javascript:alert(1)", "https://u@game.example/", "https://game.example/#f", "https://*.example/"} {
		if _, err := oauth.ParseFailAuthURL(raw); err == nil || !strings.HasPrefix(err.Error(), "fail_auth_url ") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestParametersAreAppendedToAnExistingQuery(t *testing.T) {
	for uri, want := range map[string]string{
		"https://a.example":       "https://a.example?c=1",
		"https://a.example/":      "https://a.example/?c=1",
		"https://a.example/?":     "https://a.example/?c=1",
		"https://a.example/?x":    "https://a.example/?x&c=1",
		"https://a.example/?x=1&": "https://a.example/?x=1&c=1",
		"app:/cb":                 "app:/cb?c=1",
	} {
		if got := oauth.AppendQuery(uri, "c=1"); got != want {
			t.Errorf("%s became %s", uri, got)
		}
	}
}

// A URI that matches equals the registered one, except for a loopback port.
func FuzzRedirectURIMatch(f *testing.F) {
	for _, registered := range []string{callback, "https://game.example/cb?x=1", "http://127.0.0.1/cb", "http://127.0.0.1:8080/cb?x=1", "http://[::1]/cb", "http://[::1]:5", "http://127.0.0.1:/cb", "http://localhost:1/cb", "com.example.game:/cb"} {
		for _, requested := range []string{
			registered, registered + "#f", callback + "?x=1", "http://127.0.0.1:8080/cb", "http://127.0.0.1::5/cb", "http://127.0.0.1:5/cb", "http://[::1]:99999/cb", "http://[::1]:6",
			"http://127.0.0.1@evil.example/cb", "http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1.evil.example/cb", "\x00", "",
		} {
			f.Add(registered, requested)
		}
	}
	f.Fuzz(func(t *testing.T, registered, requested string) {
		r, err := oauth.ParseRedirectURI(registered)
		if err != nil || !r.Matches(requested) || requested == registered {
			return
		}
		again, err := oauth.ParseRedirectURI(requested)
		if err != nil {
			t.Fatalf("%q matches %q, which could not be registered: %v", registered, requested, err)
		}
		host := again.URL.Hostname()
		if again.URL.Scheme != "http" || (host != "127.0.0.1" && host != "::1") || again.URL.User != nil {
			t.Fatalf("%q matches %q", registered, requested)
		}
		if got, want := withoutPort(again), withoutPort(r); got != want {
			t.Fatalf("%q matches %q: without the port they are %q and %q", registered, requested, want, got)
		}
	})
}

func withoutPort(r oauth.RedirectURI) string {
	return strings.Replace(r.Raw, r.URL.Host, strings.TrimSuffix(r.URL.Host, ":"+r.URL.Port()), 1)
}

func TestHTTPLocalhostWithoutAPortMatchesAnyPort(t *testing.T) {
	any, fixed := redirectURI(t, "http://localhost/cb?a=b"), redirectURI(t, "http://localhost:5127/cb?a=b")
	for requested, matches := range map[string]bool{
		"http://localhost/cb?a=b":                true,
		"http://localhost:5127/cb?a=b":           true,
		"http://localhost:65536/cb?a=b":          false,
		"http://localhost:0/cb?a=b":              false,
		"http://localhost:/cb?a=b":               false,
		"http://localhost:1@evil.example/cb?a=b": false,
		"http://localhost.evil.example/cb?a=b":   false,
		"http://localhost:5127/cb":               false,
		"https://localhost:5127/cb?a=b":          false,
		"http://127.0.0.1:5127/cb?a=b":           false,
		"http://LOCALHOST:5127/cb?a=b":           false,
	} {
		if any.Matches(requested) != matches {
			t.Errorf("%s matches: %v", requested, !matches)
		}
		if fixed.Matches(requested) != (requested == fixed.Raw) {
			t.Errorf("%s matches a port", requested)
		}
	}
	// A site with a gate may use port 80. Any program may use another port.
	if any.Origin() != "http://localhost" || any.OriginOfRequested("http://localhost/cb?a=b") != "http://localhost" || any.OriginOfRequested("http://localhost:5127/cb?a=b") != "" {
		t.Errorf("origins %q and %q", any.Origin(), any.OriginOfRequested("http://localhost:5127/cb?a=b"))
	}
}
