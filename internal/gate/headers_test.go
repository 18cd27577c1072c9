package gate

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/session"
)

// spellings are what some server behind us takes for X-SSO-User.
var spellings = []string{
	"X-SSO-User", "x-sso-user", "X-Sso-User", "X_SSO_User", "x_sso_user", "X.SSO.User", "X-SSO_User", "X_sso.USER",
	"X!SSO!User", "X~SSO'User", "X-SSO-Users", "X-SSO-", "X-SSO-Anything-Else", "X_SSO_GROUPS", "X.Sso.Email", "x-sso-subject",
}

// others are headers that only look like ours.
var others = []string{
	"X-SSO", "X-SS", "XSSO-User", "XX-SSO-User", "User", "X-User", "SSO-User", "X-SSO1-User", "X--SSO-User", "Authorization",
}

func TestClass01AClientsCopySurvivesNothingWhenOurValueIsEmpty(t *testing.T) {
	f := newFixture(t)
	f.users[demo.Subject] = session.User{Subject: demo.Subject, Name: "demo", Signin: "local"}
	b := f.browser()
	b.enter(demo)
	b.do("GET", "/", "X-SSO-User", "admin", "X-SSO-Email", "admin@example.com", "X-SSO-Groups", "admins", "X-SSO-Subject", "0")
	want := map[string][]string{"X-Sso-User": {"demo"}, "X-Sso-Subject": {demo.Subject}}
	if got := identityOf(f.last.Header); !maps.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("the upstream got %v, expected %v", got, want)
	}
}

// identityOf are the headers whose names a server could take for ours.
func identityOf(h http.Header) map[string][]string {
	found := map[string][]string{}
	for name, values := range h {
		folded := []byte(name)
		for i, c := range folded {
			switch {
			case c >= 'a' && c <= 'z':
				folded[i] = c - 'a' + 'A'
			case (c < 'A' || c > 'Z') && (c < '0' || c > '9'):
				folded[i] = '_' // as CGI writes it
			}
		}
		if strings.HasPrefix(string(folded), "X_SSO_") {
			found[name] = values
		}
	}
	return found
}

func TestClass02HeaderAliasesInEverySpelling(t *testing.T) {
	for _, name := range spellings {
		f := newFixture(t)
		b := f.browser()
		b.enter(demo)
		r := b.request("/")
		r.Header[name] = []string{"admin"}
		r.Trailer = http.Header{name: nil}
		f.serve(r)
		if got := f.last.Header[name]; slices.Contains(got, "admin") {
			t.Errorf("the upstream got %s: %v", name, got)
		}
		if _, there := f.last.Trailer[name]; there {
			t.Errorf("the upstream is promised a trailer %s", name)
		}
		if got := f.last.Header.Get("X-SSO-User"); got != "demo" {
			t.Errorf("with %s of the client, the upstream got X-SSO-User %q", name, got)
		}
	}
}

func TestHeadersThatOnlyLookLikeOursAreLeftAlone(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	r := b.request("/")
	r.Trailer = http.Header{}
	for _, name := range others {
		r.Header[name] = []string{"theirs"}
		r.Trailer[name] = []string{"theirs"}
	}
	f.serve(r)
	for _, name := range others {
		if !slices.Equal(f.last.Header[name], []string{"theirs"}) || !slices.Equal(f.last.Trailer[name], []string{"theirs"}) {
			t.Errorf("%s: header %q, trailer %q", name, f.last.Header[name], f.last.Trailer[name])
		}
	}
}

func TestClass03HeadersAreScrubbedWhateverTheGateMakesOfARequest(t *testing.T) {
	f := newFixture(t)
	f.gate.Match = func(r *http.Request) (bool, error) { return strings.HasPrefix(r.URL.Path, "/admin"), nil }
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	for name, test := range map[string]struct{ method, path, host string }{
		"a path that no policy is for":   {"GET", "/public", ""},
		"OPTIONS there":                  {"OPTIONS", "/public", ""},
		"OPTIONS of a protected path":    {"OPTIONS", "/admin", ""},
		"the callback":                   {"GET", "/oauth2/callback", ""},
		"an own path":                    {"GET", SignInPath, ""},
		"a path below ours that is none": {"GET", "/oauth2/other", ""},
		"a host that the gate is not on": {"GET", "/public", "other.example"},
		"the fail_auth_url":              {"GET", "/signed-out", ""},
		"a non-standard method":          {"FROBNICATE", "/public", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil)
			r.Host = "localhost:8081"
			if test.host != "" {
				r.Host = test.host
			}
			for _, name := range spellings {
				r.Header[name] = []string{"admin"}
			}
			r.Header.Set("Cookie", f.gate.Sites[1].Cookie.Name+"=x; theirs=y")
			f.serve(r)
			if got := identityOf(r.Header); len(got) > 0 {
				t.Fatalf("left: %v", got)
			}
			if got := r.Header.Get("Cookie"); got != "theirs=y" {
				t.Fatalf("left: Cookie %q", got)
			}
		})
	}
}

func TestClass04ConnectionCannotRemoveWhatWeSet(t *testing.T) {
	for _, test := range []struct{ sent, want []string }{
		{[]string{"X-SSO-User"}, nil},
		{[]string{"close, X-SSO-User"}, []string{"close"}},
		{[]string{"x_sso_user , close"}, []string{" close"}},
		{[]string{"X.SSO.Groups", "Upgrade"}, []string{"Upgrade"}},
		{[]string{"keep-alive, X-Other"}, []string{"keep-alive, X-Other"}},
		{[]string{"Upgrade"}, []string{"Upgrade"}},
		{[]string{"X-SSO-User,X-SSO-Email", "\tX-SSO-Subject\t"}, nil},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header["Connection"] = test.sent
		scrubDefault(t, r)
		if got := r.Header["Connection"]; !slices.Equal(got, test.want) {
			t.Errorf("%q became %q, expected %q", test.sent, got, test.want)
		}
	}
}

func TestIdentityHeadersHoldWhatAHeaderCan(t *testing.T) {
	for name, test := range map[string]struct {
		user                session.User
		name, email, groups string
	}{
		"plain":                     {session.User{Name: "demo", Email: "d@example.com", Groups: []string{"players", "admins"}}, "demo", "d@example.com", "players,admins"},
		"no e-mail and no group":    {session.User{Name: "demo"}, "demo", "", ""},
		"other scripts, as UTF-8":   {session.User{Name: "дёмо", Email: "ü@example.com", Groups: []string{"größe"}}, "дёмо", "ü@example.com", "gr%C3%B6%C3%9Fe"},
		"commas in a group":         {session.User{Name: "demo", Groups: []string{"a,b", "c"}}, "demo", "", "a%2Cb,c"},
		"percent signs in a group":  {session.User{Name: "100%", Groups: []string{"50%2C", "%"}}, "100%", "", "50%252C,%25"},
		"spaces and quotes":         {session.User{Name: "d e", Groups: []string{`a "b"`}}, "d e", "", "a%20%22b%22"},
		"line breaks end no header": {session.User{Name: "a\r\nX-SSO-User: admin", Groups: []string{"a\nb"}}, "a%0D%0AX-SSO-User: admin", "", "a%0Ab"},
		"NUL and DEL":               {session.User{Name: "a\x00b\x7f"}, "a%00b%7F", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			setDefault(t, h, &test.user)
			for header, want := range map[string]string{"X-Sso-User": test.name, "X-Sso-Email": test.email, "X-Sso-Groups": test.groups} {
				got, there := h[header]
				if want == "" && there {
					t.Errorf("%s is there: %q", header, got)
				}
				if want != "" && !slices.Equal(got, []string{want}) {
					t.Errorf("%s is %q, expected %q", header, got, want)
				}
			}
		})
	}
}

func TestHeaderValuesOfOneRequestDoNotGrowIntoEachOther(t *testing.T) {
	h := http.Header{}
	setDefault(t, h, &demo)
	h.Add("X-Sso-User", "second")
	if got := h.Get("X-Sso-Subject"); got != demo.Subject {
		t.Fatalf("adding to one header changed another: %q", got)
	}
}

func TestOwnCookiesStayAndOthersGoOnByteForByte(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	site, binder := f.gate.Sites[1].Cookie.Name, f.gate.Sites[1].Binder.Name
	token := b.cookies[siteOrigin][site]
	for sent, want := range map[string]string{
		site + "=" + token:                                          "",
		site + "=" + token + "; a=b":                                "a=b",
		"a=b; " + site + "=" + token + ";c=\"d, e\"; f":             "a=b;c=\"d, e\"; f",
		"a=%7B%; " + binder + "=x; " + site + "=" + token + "; é=ü": "a=%7B%; é=ü",
		site + "=" + token + "; " + portalCookie(t).Name + "=x; a=": "a=",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Host, r.Header = "localhost:8081", http.Header{"Cookie": {sent}}
		wantStatus(t, f.serve(r), http.StatusOK)
		if got := strings.Join(f.last.Header["Cookie"], "|"); got != want {
			t.Errorf("of %q the upstream got %q, expected %q", sent, got, want)
		}
	}
}

func TestAHeaderPrefixIsOneThatNoOtherHeaderHas(t *testing.T) {
	for _, good := range []string{"X-SSO-", "x-id-", "Remote-", "X-Auth-Request-"} {
		if h := headers(t, good); !h.owns(good + "User") {
			t.Errorf("%q does not own its own headers", good)
		}
	}
	for _, bad := range []string{
		"", "X-", "-", "X--", "X-SSO", "X_SSO_", "X SSO-", "X-SSO:-", "Sec-", "Accept-", "X-Forwarded-", "x-forwarded-user-", "X-Real-", "Content-", "Ü-SSO-", "X-SSO-\n-",
	} {
		if CheckHeaderPrefix(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// FuzzIdentityHeaderNames holds that scrubbing leaves nothing that folds to a
// name of ours, and touches nothing else.
func FuzzIdentityHeaderNames(f *testing.F) {
	for _, name := range slices.Concat(spellings, others) {
		f.Add(name, "close, "+name)
	}
	f.Add("", "")
	f.Add("X-SSO-\x00", ",,")
	f.Add("X\xffsso ", "\xff")
	f.Add("Connection", "X-SSO-User")
	f.Add("Http2-Settings", "HTTP2-Settings")
	f.Fuzz(func(t *testing.T, name, connection string) {
		ours := len(identityOf(http.Header{name: nil})) > 0
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header = http.Header{name: {"value"}, "Connection": {connection}}
		r.Trailer = http.Header{name: {"value"}}
		scrubDefault(t, r)
		_, left := r.Trailer[name]
		if left == ours {
			t.Fatalf("trailer %q: ours %v, left %v", name, ours, left)
		}
		if _, left := r.Header[name]; left == (ours || isHTTP2Settings(name)) && name != "Connection" {
			t.Fatalf("header %q: ours %v, left %v", name, ours, left)
		}
		kept := strings.Split(strings.Join(r.Header["Connection"], ","), ",")
		for token := range strings.SplitSeq(connection, ",") {
			ours := len(identityOf(http.Header{strings.TrimSpace(token): nil})) > 0
			if name != "Connection" && ours == slices.Contains(kept, token) {
				t.Fatalf("Connection %q became %q", connection, r.Header["Connection"])
			}
		}
	})
}

func scrubDefault(t *testing.T, r *http.Request) {
	h := headers(t, DefaultHeaderPrefix)
	h.Scrub(r)
}

func setDefault(t *testing.T, header http.Header, u *session.User) {
	h := headers(t, DefaultHeaderPrefix)
	h.set(header, u)
}
