// Package license holds the License API against real clients: two pieces of
// licensed software, a license backend that records every byte, the customer's
// own provider, and clients that know OpenID Connect alone.
package license

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/e2e/licenseclient"
)

func TestMain(m *testing.M) { harness.Main(m) }

// A world is a server with a License API.
type world struct {
	*harness.Caddyfile
	license *harness.License
	server  *harness.Server
	backend *harness.LicenseBackend
}

// start starts one, varied.
func start(t *testing.T, vary ...func(*harness.Caddyfile, *harness.License)) *world {
	t.Helper()
	w := &world{Caddyfile: harness.Standard(t, harness.NewBackend(t).Addr), license: harness.WithLicense(t)}
	for _, v := range vary {
		v(w.Caddyfile, w.license)
	}
	w.license.Apply(w.Caddyfile)
	w.backend = w.license.Backend
	w.server = harness.Start(t, w.Caddyfile.String())
	return w
}

// An app is licensed software that runs, with the browser of its user.
type app struct {
	*licenseclient.Client
	*licenseclient.Listener
	browser *harness.Client
}

// app starts licensed software beside a browser.
func (w *world) app(t *testing.T, browser *harness.Client) *app {
	t.Helper()
	own := harness.NewClient(t) // of the application, not of the browser
	a := &app{Client: w.license.App(w.Portal, own.HTTP()), browser: browser}
	if err := a.Trust(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.listen(t)
	return a
}

func (a *app) listen(t *testing.T) {
	t.Helper()
	var err error
	if a.Listener, err = licenseclient.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
}

// link asks for one.
func (a *app) link(t *testing.T, responseType string) string {
	t.Helper()
	link, err := a.SSOURL(t.Context(), responseType, a.RedirectURI)
	if err != nil {
		t.Fatalf("sso_url: %v", err)
	}
	return link
}

// signIn opens a link in the browser, signs in where it leads, and returns what
// the listener got.
func (a *app) signIn(t *testing.T, responseType string, u harness.User) url.Values {
	t.Helper()
	return a.arrived(t, a.browser.SignIn(a.link(t, responseType), u))
}

// again is signIn of a browser that is signed in.
func (a *app) again(t *testing.T, responseType string) url.Values {
	t.Helper()
	return a.arrived(t, a.browser.Open(a.link(t, responseType)))
}

// arrived does what the script of the listener's page does, and returns what
// the listener got.
func (a *app) arrived(t *testing.T, page *harness.Response) url.Values {
	t.Helper()
	if origin := page.URL.Scheme + "://" + page.URL.Host; page.Status != http.StatusOK || origin != a.RedirectURI {
		t.Fatalf("ended at %s with %d: %s", page.URL, page.Status, page.Body)
	}
	if page.Body == licenseclient.FragmentPage {
		r, err := http.NewRequest(http.MethodPost, a.RedirectURI+"/fragment", strings.NewReader(page.URL.EscapedFragment()))
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := a.browser.Do(r); err != nil || resp.Status != http.StatusNoContent {
			t.Fatalf("posting the fragment of %s: %v", page.URL, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	answer, err := a.Answer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// code signs in, and returns the code that came.
func (a *app) code(t *testing.T, u harness.User) string {
	t.Helper()
	return codeIn(t, a.signIn(t, "code", u))
}

// newCode is one more of a browser that is signed in.
func (a *app) newCode(t *testing.T) string {
	t.Helper()
	return codeIn(t, a.again(t, "code"))
}

func codeIn(t *testing.T, answer url.Values) string {
	t.Helper()
	if answer.Get("code") == "" {
		t.Fatalf("no code came: %v", answer)
	}
	return answer.Get("code")
}

// wantActivated sends an activation and holds what the backend got against it.
func (w *world) wantActivated(t *testing.T, a *app, body []byte, u harness.User) harness.Activated {
	t.Helper()
	before := len(w.backend.Requests())
	answer, err := a.Activate(t.Context(), body)
	if err != nil {
		t.Fatalf("activating: %v", err)
	}
	if string(answer) != harness.LicenseAnswer {
		t.Errorf("the application got %q", answer)
	}
	if n := len(w.backend.Requests()) - before; n != 1 {
		t.Fatalf("%d requests reached the backend", n)
	}
	got := w.backend.Last(t)
	wantIdentity(t, got, u.Name, u.Email, a.Product, a.Account)
	if !bytes.Equal(got.Body, body) {
		t.Errorf("the backend got the body\n%q, want\n%q", got.Body, body)
	}
	return got
}

// wantIdentity holds the identity headers of a request.
func wantIdentity(t *testing.T, got harness.Activated, name, email, product, account string) {
	t.Helper()
	for header, want := range map[string]string{
		"X-SSO-User": name, "X-SSO-Email": email, "X-SSO-License-Product": product, "X-SSO-License-Customer-Account": account,
	} {
		if values := got.Header.Values(header); len(values) != 1 || values[0] != want {
			t.Errorf("the backend got %s: %q, want %q", header, values, want)
		}
	}
	if got.Header.Get("X-SSO-Subject") == "" {
		t.Error("the backend got no X-SSO-Subject")
	}
}

// wantRefused holds an error against the one of the API that it should be.
func wantRefused(t *testing.T, err error, status int, code string) {
	t.Helper()
	refused := (*licenseclient.Error)(nil)
	if !errors.As(err, &refused) || refused.Status != status || refused.Code != code {
		t.Errorf("the answer was %v, want %d %s", err, status, code)
	}
}
