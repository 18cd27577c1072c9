package gate

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/session"
)

func ownHeaders(t testing.TB, preset string, set map[string]string) *Headers {
	t.Helper()
	h, err := NewHeaders(HeaderSettings{Preset: preset, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return &h
}

func TestOwnHeadersHaveTheValuesOfTheUser(t *testing.T) {
	user := session.User{
		Subject: annsSubject, Name: "žofie", Email: "ann@studio.example", Groups: []string{"staff", "a,b", "100%"},
		Claims: session.Claims{}.With("department", "games").With("roles", "x", "y,z").With("none").Without("unread"),
	}
	for name, c := range map[string]struct {
		preset string
		set    map[string]string
		want   map[string]string
	}{
		"authelia": {"authelia", nil, map[string]string{
			"Remote-User": "žofie", "Remote-Name": "žofie", "Remote-Email": "ann@studio.example", "Remote-Groups": "staff,a%2Cb,100%25",
		}},
		"oauth2_proxy": {"oauth2_proxy", nil, map[string]string{
			"X-Auth-Request-User": annsSubject, "X-Auth-Request-Preferred-Username": "žofie", "X-Auth-Request-Email": "ann@studio.example", "X-Auth-Request-Groups": "staff,a%2Cb,100%25",
		}},
		"a preset with another value": {"authelia", map[string]string{"remote-name": "{user.claim.department}"}, map[string]string{
			"Remote-User": "žofie", "Remote-Name": "games", "Remote-Email": "ann@studio.example", "Remote-Groups": "staff,a%2Cb,100%25",
		}},
		"claims": {"", map[string]string{
			"X-Department": "{user.claim.department}", "X-Roles": "{user.claim.roles}", "X-None": "{user.claim.none}", "X-Unread": "{user.claim.unread}", "X-Never": "{user.claim.never}",
		}, map[string]string{"X-Department": "games", "X-Roles": "x,y%2Cz"}},
	} {
		got := http.Header{}
		ownHeaders(t, c.preset, c.set).setOwn(got, &user)
		flat := map[string]string{}
		for n, v := range got {
			flat[n] = strings.Join(v, "|")
		}
		if !maps.Equal(flat, c.want) {
			t.Errorf("%s: got %v", name, flat)
		}
	}
}

func TestNoValueOfAHeaderBreaksTheLine(t *testing.T) {
	user := session.User{Subject: "s", Name: "a\r\nX-Evil: 1", Groups: []string{"x\r\nY: 2", "z"}}
	got := http.Header{}
	ownHeaders(t, "authelia", nil).setOwn(got, &user)
	for name, values := range got {
		if strings.ContainsAny(values[0], "\r\n\x00") {
			t.Errorf("%s: %q", name, values[0])
		}
	}
}

// What a client sends under such a name never reaches the backend, in any spelling, in
// the header or in the trailer, whether the gate's rules apply or not.
func TestClass03OwnHeadersOfAClientAreDeleted(t *testing.T) {
	f := newFixture(t)
	f.gate.Headers = *ownHeaders(t, "authelia", map[string]string{"X-Department": "{user.claim.department}"})
	f.gate.Match = func(r *http.Request) (bool, error) { return strings.HasPrefix(r.URL.Path, "/private"), nil }
	b := f.browser()
	b.enterBelow("/private", demo)
	for _, path := range []string{"/private", "/public"} {
		r := b.request(path)
		for _, name := range []string{"Remote-User", "remote_user", "REMOTE.GROUPS", "Remote_Email", "X_Department", "x-department", "X!Department"} {
			r.Header[name] = []string{"forged"}
		}
		r.Header.Set("Remote-Useragent", "theirs")
		r.Header.Set("Connection", "Remote-User, X-Other")
		r.Body = io.NopCloser(strings.NewReader("x"))
		r.Trailer = http.Header{"Remote-Groups": {"forged"}, "X-Theirs": {"y"}}
		if w := f.serve(r); w.Code != http.StatusOK {
			t.Fatal(path, w.Code)
		}
		if _, err := io.ReadAll(f.last.Body); err != nil {
			t.Fatal(err)
		}
		for _, all := range []http.Header{f.last.Header, f.last.Trailer} {
			for name, values := range all {
				if strings.Join(values, "") == "forged" || strings.Contains(values[0], "Remote-User") {
					t.Errorf("%s: the backend gets %s: %q", path, name, values)
				}
			}
		}
		if f.last.Header.Get("Remote-Useragent") != "theirs" || f.last.Trailer.Get("X-Theirs") != "y" {
			t.Errorf("%s: other headers are gone: %v", path, f.last.Header)
		}
		if got := f.last.Header.Get("Remote-User"); got != map[string]string{"/private": "demo", "/public": ""}[path] {
			t.Errorf("%s: the backend gets the user %q", path, got)
		}
	}
}

func TestHeadersThatAGateMustNotSetAreRefused(t *testing.T) {
	for _, name := range []string{
		"", "-", "a b", "X_User", "X:User", "Größe", "Host", "host", "Cookie", "Connection", "Upgrade", "TE", "Transfer-Encoding", "Proxy-Authorization",
		"X-Forwarded-User", "Content-Length", "Content-Type", "Authorization", "Forwarded", "X-SSO-User", "x-sso-other", "Sec-Fetch-Mode", "X-Original-URL", "X-HTTP-Method-Override",
		strings.Repeat("x", 129),
	} {
		if _, err := NewHeaders(HeaderSettings{Set: map[string]string{name: "{user.name}"}}); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for _, value := range []string{"", "user.name", "{user.name", "{user.id}", "{user.name} {user.email}", "x{user.name}", "{user.claim.}", "{user.claim.email}", "{user.claim.groups}", "{env.X}"} {
		if _, err := NewHeaders(HeaderSettings{Set: map[string]string{"Remote-User": value}}); err == nil {
			t.Errorf("%q is taken as a value", value)
		}
	}
	if _, err := NewHeaders(HeaderSettings{Preset: "nginx"}); err == nil {
		t.Error("an unknown preset is taken")
	}
	if _, err := NewHeaders(HeaderSettings{Set: map[string]string{"Remote-User": "{user.name}", "remote-user": "{user.email}"}}); err == nil {
		t.Error("two spellings of one header are taken")
	}
}

// Whatever name is taken, no request of a client keeps it.
func FuzzHeaderNames(f *testing.F) {
	for _, seed := range []string{"Remote-User", "X-Department", "x-auth-request-user", "Host", "--", "X-SSO-A", "a"} {
		f.Add(seed, "remote_user")
	}
	f.Fuzz(func(t *testing.T, name, sent string) {
		h, err := NewHeaders(HeaderSettings{Set: map[string]string{name: "{user.name}"}})
		if err != nil {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header = http.Header{sent: {"x"}, name: {"y"}, strings.ReplaceAll(name, "-", "_"): {"z"}}
		h.Scrub(r)
		for left := range r.Header {
			if strings.EqualFold(strings.ReplaceAll(left, "_", "-"), name) {
				t.Errorf("%q is left, though %q is ours", left, name)
			}
		}
	})
}

func TestTheClientsAuthorizationIsStripped(t *testing.T) {
	for _, strip := range []bool{false, true} {
		f := newFixture(t)
		f.gate.StripAuthorization = strip
		b := f.browser()
		b.enter(demo)
		if w := b.do("GET", "/", "Authorization", "Basic dXNlcjpwYXNz"); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
		if got := f.last.Header.Get("Authorization"); (got == "") != strip {
			t.Errorf("strip %v: the backend gets %q", strip, got)
		}
	}
}

// A second gate of the same request still knows the token that the first one took away.
func TestALaterGateKnowsATokenThatWasStripped(t *testing.T) {
	f := newFixture(t)
	f.gate.StripAuthorization = true
	second := f.second(func(*Gate) {})
	token := f.tokens(f.browser().signIn(demo)).Access
	r := httptest.NewRequestWithContext(t.Context(), "GET", siteOrigin+"/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	if w := f.serve(r, f.gate, second); w.Code != http.StatusOK || f.last.Header.Get("Authorization") != "" {
		t.Errorf("status %d, the backend gets %q", w.Code, f.last.Header.Get("Authorization"))
	}
}

func BenchmarkOwnHeaders(b *testing.B) {
	h := ownHeaders(b, "authelia", map[string]string{"X-Department": "{user.claim.department}"})
	user := google(nil)
	b.ReportAllocs()
	for b.Loop() {
		header := make(http.Header, 8)
		h.set(header, &user)
	}
}
