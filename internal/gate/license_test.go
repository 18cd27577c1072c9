package gate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// licenseGate is one that takes the header Credential for a credential: "good"
// is the one of demo, "bad" is refused.
func licenseGate(f *fixture, in oauth.SignedIn) *LicenseGate {
	return &LicenseGate{
		Sessions: f.gate.Server.Sessions, Headers: headers(f.t, DefaultHeaderPrefix), Shared: table,
		Endpoint: func(path string) http.HandlerFunc {
			if path != "/api/v4/sso_url" {
				return nil
			}
			return func(w http.ResponseWriter, r *http.Request) {
				if len(identityOf(r.Header)) > 0 || r.Header.Get("Cookie") != "theirs=1" {
					f.t.Errorf("the endpoint sees %v", r.Header)
				}
				io.WriteString(w, "a link")
			}
		},
		Check: func(w http.ResponseWriter, r *http.Request) (*oauth.Activation, bool) {
			switch r.Header.Get("Credential") {
			case "good":
				return &oauth.Activation{SignedIn: in, Product: "demo", Account: "acme"}, false
			case "bad":
				w.WriteHeader(http.StatusBadRequest)
				return nil, true
			}
			return nil, false
		},
	}
}

func (f *fixture) activated() oauth.SignedIn {
	f.t.Helper()
	sess := f.browser().signIn(demo)
	return oauth.SignedIn{Session: sess, User: demo}
}

// activate sends a request with forged headers and our cookie through a gate.
func activate(t *testing.T, g *LicenseGate, path, credential string) (*httptest.ResponseRecorder, Pass, bool) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader("body"))
	r.Header.Set("Credential", credential)
	r.Header.Set("Cookie", portalCookie(t).Name+"=x; theirs=1")
	for _, name := range append(spellings, "X-SSO-License-Product", "x_sso_license_customer_account") {
		r.Header[name] = []string{"admin"}
	}
	w := httptest.NewRecorder()
	pass, ok := g.Handle(w, r)
	return w, pass, ok
}

func TestALicenseCredentialBecomesTheIdentity(t *testing.T) {
	f := newFixture(t)
	g := licenseGate(f, f.activated())
	_, pass, ok := activate(t, g, "/api/v4/activate_license", "good")
	if !ok || pass.User == nil || pass.User.Name != "demo" {
		t.Fatalf("%v, %v", ok, pass.User)
	}
	defer pass.Release()
	want := map[string]string{
		"X-Sso-User": "demo", "X-Sso-Subject": demo.Subject, "X-Sso-Email": "demo@example.com", "X-Sso-Groups": "players",
		"X-Sso-License-Product": "demo", "X-Sso-License-Customer-Account": "acme",
	}
	got := identityOf(pass.Request.Header)
	if len(got) != len(want) {
		t.Errorf("the identity is %v", got)
	}
	for name, value := range want {
		if strings.Join(got[name], "|") != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
	if got := pass.Request.Header.Get("Cookie"); got != "theirs=1" {
		t.Errorf("Cookie is %q", got)
	}
}

func TestClass03WithoutALicenseCredentialNoIdentityPasses(t *testing.T) {
	f := newFixture(t)
	g := licenseGate(f, f.activated())
	for _, path := range []string{"/api/v4/activate_license", "/", "/api/v4/check_license"} {
		_, pass, ok := activate(t, g, path, "")
		if !ok || pass.User != nil || len(identityOf(pass.Request.Header)) != 0 || pass.Request.Header.Get("Cookie") != "theirs=1" {
			t.Errorf("%s: %v %v %v", path, ok, pass.User, pass.Request.Header)
		}
		pass.Release()
	}
	if w, _, ok := activate(t, g, "/", "bad"); ok || w.Code != http.StatusBadRequest {
		t.Errorf("a bad one: %v, %d", ok, w.Code)
	}
	if w, _, ok := activate(t, g, "/api/v4/sso_url", "good"); ok || w.Body.String() != "a link" {
		t.Errorf("an endpoint: %v, %s", ok, w.Body)
	}
}

func TestClass16AnActivationEndsWithItsSession(t *testing.T) {
	f := newFixture(t)
	in := f.activated()
	_, pass, ok := activate(t, licenseGate(f, in), "/api/v4/activate_license", "good")
	if !ok {
		t.Fatal("refused")
	}
	defer pass.Release()
	if err := f.gate.Server.Sessions.End(t.Context(), in.Session.Key()); err != nil {
		t.Fatal(err)
	}
	<-pass.Request.Context().Done()
}

// One request has one identity, whatever other gates find in its cookies.
func TestClass19AGateBesideGoesByTheLicense(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	other := session.User{Subject: "22222222-2222-4222-8222-222222222222", Name: "other", Signin: "local"}
	f.users[other.Subject] = other
	licensed := licenseGate(f, oauth.SignedIn{Session: f.browser().signIn(other), User: other})
	for name, first := range map[string]bool{"after": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			r := b.request("/api/v4/activate_license")
			r.Header.Set("Credential", "good")
			w := httptest.NewRecorder()
			if !first {
				pass, ok := f.gate.Handle(w, r)
				if !ok || pass.User.Name != "demo" {
					t.Fatalf("%v %v", ok, pass.User)
				}
				defer pass.Release()
				r = pass.Request
			}
			pass, ok := licensed.Handle(w, r)
			if !ok {
				t.Fatal(w.Body)
			}
			defer pass.Release()
			if r = pass.Request; first {
				pass, ok = f.gate.Handle(w, r)
				if !ok || pass.User.Name != "other" {
					t.Fatalf("%v %v", ok, pass.User)
				}
				defer pass.Release()
				r = pass.Request
			}
			got := identityOf(r.Header)
			if len(got) != 4 || got["X-Sso-User"][0] != "other" || got["X-Sso-Subject"][0] != other.Subject || got["X-Sso-License-Product"][0] != "demo" {
				t.Errorf("the identity is %v", got)
			}
		})
	}
}
