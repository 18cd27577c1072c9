package session_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

func cookieFor(t testing.TB, kind, registered, client string) session.Cookie {
	t.Helper()
	u, err := url.Parse(registered)
	if err != nil {
		t.Fatal(err)
	}
	return session.NewCookie(kind, u, client)
}

func TestTheNameOfACookieFollowsTheRegisteredOriginAndClient(t *testing.T) {
	base := cookieFor(t, "session", "https://sso.example.com/", "wiki")
	for _, same := range []string{
		"https://sso.example.com", "https://sso.example.com:443/x?y#z", "HTTPS://SSO.Example.COM/", "https://sso.example.com:/",
	} {
		if got := cookieFor(t, "session", same, "wiki"); got != base {
			t.Errorf("%s: %+v, not %+v", same, got, base)
		}
	}
	for name, other := range map[string]session.Cookie{
		"kind":   cookieFor(t, "site", "https://sso.example.com/", "wiki"),
		"host":   cookieFor(t, "session", "https://sso.example.org/", "wiki"),
		"port":   cookieFor(t, "session", "https://sso.example.com:8443/", "wiki"),
		"port80": cookieFor(t, "session", "https://sso.example.com:80/", "wiki"),
		"scheme": cookieFor(t, "session", "http://sso.example.com/", "wiki"),
		"client": cookieFor(t, "session", "https://sso.example.com/", "forge"),
	} {
		if other.Name == base.Name {
			t.Errorf("another %s, the same name", name)
		}
	}
	if !strings.HasPrefix(base.Name, "__Host-caddy_sso_session_") || !base.Secure || base.SameSite != http.SameSiteLaxMode {
		t.Errorf("%+v", base)
	}
	plain := cookieFor(t, "site", "http://[::1]:8080/", "")
	if !strings.HasPrefix(plain.Name, "caddy_sso_site_") || plain.Secure {
		t.Errorf("%+v", plain)
	}
}

func TestACookieIsSentWithItsAttributes(t *testing.T) {
	https := cookieFor(t, "session", "https://sso.example.com", "")
	none := https
	none.SameSite = http.SameSiteNoneMode
	zero := https
	zero.SameSite = 0
	plain := cookieFor(t, "session", "http://127.0.0.1:8080", "")
	for name, c := range map[string]struct {
		send func(http.ResponseWriter)
		want string
	}{
		"https": {
			func(w http.ResponseWriter) { https.Set(w, "v", time.Hour) },
			https.Name + "=v; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
		},
		"plain http": {
			func(w http.ResponseWriter) { plain.Set(w, "v", time.Hour) },
			plain.Name + "=v; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax",
		},
		"as long as the browser runs": {
			func(w http.ResponseWriter) { https.Set(w, "v", 0) },
			https.Name + "=v; Path=/; HttpOnly; Secure; SameSite=Lax",
		},
		"less than a second is not forever": {
			func(w http.ResponseWriter) { https.Set(w, "v", time.Millisecond) },
			https.Name + "=v; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Lax",
		},
		"for other sites": {
			func(w http.ResponseWriter) { none.Set(w, "v", time.Hour) },
			https.Name + "=v; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=None",
		},
		"SameSite not set": {
			func(w http.ResponseWriter) { zero.Set(w, "v", time.Hour) },
			https.Name + "=v; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
		},
		"cleared": {
			https.Clear,
			https.Name + "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.send(w)
			if got := w.Header().Get("Set-Cookie"); got != c.want {
				t.Errorf("\n%s, not\n%s", got, c.want)
			}
		})
	}
}

func TestTheValueOfACookie(t *testing.T) {
	c := session.Cookie{Name: "caddy_sso_site_0123abcd"}
	own := c.Name + "="
	for name, test := range map[string]struct {
		lines []string
		want  string
		ok    bool
	}{
		"no header":                   {nil, "", false},
		"an empty header":             {[]string{""}, "", false},
		"alone":                       {[]string{own + "v"}, "v", true},
		"between others":              {[]string{"a=1; " + own + "v; b=2"}, "v", true},
		"without spaces":              {[]string{"a=1;" + own + "v;b=2"}, "v", true},
		"in a second header":          {[]string{"a=1", own + "v"}, "v", true},
		"twice the same":              {[]string{own + "v; " + own + "v"}, "v", true},
		"twice, and different":        {[]string{own + "v; " + own + "w"}, "", false},
		"different in two headers":    {[]string{own + "v", own + "w"}, "", false},
		"shadowed by an empty one":    {[]string{own + "; " + own + "v"}, "", false},
		"no equals sign":              {[]string{c.Name}, "", false},
		"a longer name":               {[]string{"x" + own + "v; " + c.Name + "x=w"}, "", false},
		"another case":                {[]string{strings.ToUpper(c.Name) + "=v"}, "", false},
		"in the value of another":     {[]string{"a=" + own + "v"}, "", false},
		"an equals sign in the value": {[]string{own + "a=b"}, "a=b", true},
		"spaces around the name":      {[]string{"a=1;  " + c.Name + " =v \t; b=2"}, "v", true},
		"malformed neighbours":        {[]string{";;=; ==;\x00\xff;" + own + "v;\"=;"}, "v", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{}}
			if test.lines != nil {
				r.Header["Cookie"] = test.lines
			}
			if got, ok := c.Value(r); got != test.want || ok != test.ok {
				t.Errorf("%q, %v", got, ok)
			}
		})
	}
}

func TestClass24CookieSizes(t *testing.T) {
	c := session.Cookie{Name: "caddy_sso_session_0123abcd"}
	value := func(lines ...string) (string, bool) {
		return c.Value(&http.Request{Header: http.Header{"Cookie": lines}})
	}
	long := strings.Repeat("v", 4096)
	if got, ok := value(c.Name + "=" + long); !ok || got != long {
		t.Error("4096 bytes are refused")
	}
	if _, ok := value(c.Name + "=" + long + "v"); ok {
		t.Error("4097 bytes are taken")
	}
	if got, ok := value(c.Name + "=" + long + "v; " + c.Name + "=v"); !ok || got != "v" {
		t.Error("a huge cookie hides the real one")
	}
	if got, ok := value(strings.Repeat("a=1; ", 100) + c.Name + "=v" + strings.Repeat("; b=2", 100)); !ok || got != "v" {
		t.Error("not found among two hundred")
	}
	if _, ok := value(strings.Repeat(";", 1<<20)); ok {
		t.Error("found in a megabyte of nothing")
	}
	h := http.Header{"Cookie": {strings.Repeat(c.Name+"=v; ", 1000) + "a=1"}}
	session.StripOwn(h)
	if got := h.Get("Cookie"); got != "a=1" {
		t.Errorf("%d bytes are left", len(got))
	}
}

func TestOwnNames(t *testing.T) {
	for _, name := range []string{
		cookieFor(t, "session", "https://a.example", "x").Name, cookieFor(t, "site", "http://127.0.0.1:1", "").Name,
		"caddy_sso_browser_00000000", "__Host-caddy_sso_gate_deadbeef", "caddy_sso_anyother_89abcdef",
	} {
		if !session.Own(name) {
			t.Errorf("%s is not ours", name)
		}
	}
	for _, name := range []string{
		"", "caddy_sso", "caddy_sso_", "caddy_sso__00000000", "caddy_sso_site_0000000", "caddy_sso_site_000000000",
		"caddy_sso_site_0000000G", "caddy_sso_site_DEADBEEF", "caddy_sso_Site_00000000", "__Secure-caddy_sso_site_00000000",
		"__Host-__Host-caddy_sso_site_00000000", "xcaddy_sso_site_00000000", "caddy_sso_my_site_00000000", "__Host-session",
		"caddy_sso_site_00000000 ", "__host-caddy_sso_site_00000000",
	} {
		if session.Own(name) {
			t.Errorf("%s is ours", name)
		}
	}
}

func TestStripOwnTakesNothingElse(t *testing.T) {
	const a, b = "caddy_sso_session_01234567=s", "__Host-caddy_sso_gate_89abcdef=g"
	for name, test := range map[string]struct{ in, want []string }{
		"none of ours":            {[]string{"x=1;  y = \"2;3\" ;;"}, []string{"x=1;  y = \"2;3\" ;;"}},
		"alone":                   {[]string{a}, nil},
		"only ours":               {[]string{a + "; " + b + ";"}, nil},
		"first":                   {[]string{a + "; x=1; y=2"}, []string{"x=1; y=2"}},
		"in the middle":           {[]string{"x=1; " + a + "; y=2"}, []string{"x=1; y=2"}},
		"last":                    {[]string{"x=1; y=2; " + b}, []string{"x=1; y=2"}},
		"odd spacing stays":       {[]string{"x=1 ;y=2;" + a + ";\tz"}, []string{"x=1 ;y=2;\tz"}},
		"an empty cookie stays":   {[]string{"; x=1; " + a}, []string{"; x=1"}},
		"without a value":         {[]string{"x=1; caddy_sso_session_01234567; y=2"}, []string{"x=1; y=2"}},
		"spaces around the name":  {[]string{"x=1;  caddy_sso_session_01234567 = v; y=2"}, []string{"x=1; y=2"}},
		"one of several headers":  {[]string{"x=1", a, "y=2"}, []string{"x=1", "y=2"}},
		"all of several headers":  {[]string{a, b}, nil},
		"an empty header stays":   {[]string{"", a}, []string{""}},
		"ours in a value stays":   {[]string{"x=" + a}, []string{"x=" + a}},
		"a name like ours stays":  {[]string{"caddy_sso_session_0123456=s; " + a}, []string{"caddy_sso_session_0123456=s"}},
		"a name of ours, twice":   {[]string{a + "; x=1; " + a}, []string{"x=1"}},
		"bytes that are no text":  {[]string{"x=\xff\x00; " + a + "; \xfe"}, []string{"x=\xff\x00; \xfe"}},
		"a comma is no separator": {[]string{"x=1, " + a}, []string{"x=1, " + a}},
	} {
		t.Run(name, func(t *testing.T) {
			shared := append([]string(nil), test.in...)
			h := http.Header{"Cookie": shared, "X": {"y"}}
			session.StripOwn(h)
			if got := h["Cookie"]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("%q, not %q", got, test.want)
			}
			if _, ok := h["Cookie"]; ok != (test.want != nil) {
				t.Error("an empty header is left")
			}
			if !reflect.DeepEqual(shared, test.in) {
				t.Error("the slice that others hold has changed")
			}
		})
	}
	session.StripOwn(nil)
}

func TestCookiesAreReadWithoutAllocating(t *testing.T) {
	c := session.Cookie{Name: "caddy_sso_session_01234567"}
	r := &http.Request{Header: http.Header{"Cookie": {"a=1; b=2; " + c.Name + "=v"}}}
	if n := testing.AllocsPerRun(100, func() { c.Value(r) }); n != 0 {
		t.Errorf("Value: %v allocations", n)
	}
	others := http.Header{"Cookie": {"a=1; b=2"}}
	if n := testing.AllocsPerRun(100, func() { session.StripOwn(others) }); n != 0 {
		t.Errorf("StripOwn: %v allocations", n)
	}
}

// FuzzCookieHeader compares with net/http's own idea of a Cookie header.
func FuzzCookieHeader(f *testing.F) {
	const own = "caddy_sso_session_01234567"
	for _, seed := range []string{
		"", own + "=v", "a=1; " + own + "=v; b=2", "__Host-" + own + "=v;;;", own, " " + own + " = v ; " + own + "=w",
		"a=\"" + own + "=v; " + own + "=v\"", strings.Repeat(own+"=v; ", 50), "a=1\r\n; \t" + own + "\t=v", "=;=" + own + "=;",
		own + "= v ", own + ";" + own + "=0",
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		split := func(h http.Header) (ours, others []string) {
			for _, line := range h["Cookie"] {
				for part := range strings.SplitSeq(line, ";") {
					part = strings.Trim(part, " \t\r\n")
					name, _, _ := strings.Cut(part, "=")
					if session.Own(strings.Trim(name, " \t\r\n")) {
						ours = append(ours, part)
					} else if part != "" {
						others = append(others, part)
					}
				}
			}
			return ours, others
		}
		h := http.Header{"Cookie": {first, second}}
		r := &http.Request{Header: h}
		c := session.Cookie{Name: own}
		if value, ok := c.Value(r); ok {
			if len(value) > 4096 {
				t.Fatal("a huge value")
			}
			for _, std := range r.CookiesNamed(own) {
				if std.Quoted {
					std.Value = `"` + std.Value + `"`
				}
				// What has no equals sign is empty to net/http, and to us a
				// cookie without a name.
				if std.Value != "" && std.Value != value && len(std.Value) <= 4096 {
					t.Fatalf("%q, but net/http reads %q", value, std.Value)
				}
			}
		}
		_, before := split(h)
		session.StripOwn(h)
		ours, after := split(h)
		if len(ours) > 0 {
			t.Fatalf("left: %q", ours)
		}
		for _, std := range r.Cookies() {
			if session.Own(std.Name) {
				t.Fatalf("net/http still reads %s", std.Name)
			}
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("others were %q, and are %q", before, after)
		}
		again := h.Clone()
		session.StripOwn(again)
		if !reflect.DeepEqual(again, h) {
			t.Fatal("a second pass changes more")
		}
	})
}
