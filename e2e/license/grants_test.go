package license

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

func TestTheClientInGoActivatesByEitherGrant(t *testing.T) {
	onOneNodeAndTwo(t, theClientInGoActivatesByEitherGrant)
}

func theClientInGoActivatesByEitherGrant(t *testing.T, start starter) {
	t.Helper()
	w := start(t)
	for name, tt := range map[string]struct {
		responseType string
		body         func(*app) []byte
	}{
		"code grant": {"code", func(a *app) []byte {
			return a.Activation(a.code(t, harness.Demo), "")
		}},
		"the default, which is the code grant": {"", func(a *app) []byte {
			return a.Activation(codeIn(t, a.signIn(t, "", harness.Demo)), "")
		}},
		"token grant, by the ID token": {"token", func(a *app) []byte {
			return a.Activation("", a.signIn(t, "token", harness.Demo).Get("id_token"))
		}},
		"token grant, by the access token": {"token", func(a *app) []byte {
			return a.Activation("", a.signIn(t, "token", harness.Demo).Get("access_token"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.app(t, harness.NewClient(t))
			got := w.wantActivated(t, a, tt.body(a), harness.Demo)
			// The backend checks its own signature: both headers are as they were.
			for _, header := range []string{"Date", "Authorization"} {
				if got.Header.Get(header) == "" {
					t.Errorf("the backend got no %s", header)
				}
			}
			if !strings.Contains(got.Head, `signature="`) || !strings.Contains(got.Head, `, apikey="`+harness.APIKey+`"`) {
				t.Errorf("the Authorization header was changed before it arrived:\n%s", got.Head)
			}
		})
	}
}

// TestTheAnswersOfTheTwoGrants holds what the application hears, and where.
func TestTheAnswersOfTheTwoGrants(t *testing.T) { onOneNodeAndTwo(t, theAnswersOfTheTwoGrants) }

func theAnswersOfTheTwoGrants(t *testing.T, start starter) {
	t.Helper()
	w := start(t)
	a := w.app(t, harness.NewClient(t))
	page := a.browser.SignIn(a.link(t, "code"), harness.Demo)
	if page.URL.Fragment != "" {
		t.Errorf("the code came to %s", page.URL)
	}
	for name, there := range map[string]bool{"code": true, "id_token": false, "access_token": false} {
		if a.arrived(t, page).Has(name) != there {
			t.Errorf("the answer of the code grant is %s", page.URL)
		}
		page = a.browser.Open(a.link(t, "code"))
	}
	a.arrived(t, page)
	page = a.browser.Open(a.link(t, "token"))
	if page.URL.RawQuery != "" {
		t.Errorf("tokens came in a query: %s", page.URL)
	}
	answer := a.arrived(t, page)
	for _, name := range []string{"id_token", "access_token", "expires_in", "token_type", "state"} {
		if answer.Get(name) == "" {
			t.Errorf("the token grant answered no %s", name)
		}
	}
	if answer.Has("code") || answer.Get("token_type") != "Bearer" {
		t.Errorf("the token grant answered code %q and token_type %q", answer.Get("code"), answer.Get("token_type"))
	}
	for _, step := range page.Seen[:len(page.Seen)-1] {
		if strings.Contains(step, "token=") {
			t.Errorf("a token was in the URL %s", step)
		}
	}
}

// TestTheClientInNodeActivatesByEitherGrant is the same with a client that
// spells every detail differently.
func TestTheClientInNodeActivatesByEitherGrant(t *testing.T) {
	onOneNodeAndTwo(t, theClientInNodeActivatesByEitherGrant)
}

func theClientInNodeActivatesByEitherGrant(t *testing.T, start starter) {
	t.Helper()
	w := start(t)
	for _, responseType := range []string{"code", "token"} {
		t.Run(responseType, func(t *testing.T) {
			options := w.license.NodeOptions(w.Portal)
			options.ResponseType = responseType
			node, err := harness.StartNodeApp(t, options)
			if err != nil {
				t.Fatal(err)
			}
			browser := harness.NewClient(t)
			page := browser.SignIn(node.URL, harness.Demo)
			if responseType == "token" {
				if err := node.Fragment(browser, page); err != nil {
					t.Fatal(err)
				}
			}
			activation, err := node.Finish()
			if err != nil {
				t.Fatal(err)
			}
			if activation.Status != http.StatusOK || activation.Body != harness.LicenseAnswer {
				t.Fatalf("answered %d: %s", activation.Status, activation.Body)
			}
			got := w.backend.Last(t)
			wantIdentity(t, got, harness.Demo.Name, harness.Demo.Email, "demo", "other")
			if string(got.Body) != activation.Sent || got.URI != "/api/v4/activate_license/" {
				t.Errorf("the backend got, at %s, the body\n%s, want\n%s", got.URI, got.Body, activation.Sent)
			}
			if !strings.Contains(got.Head, `,apiKey="`+harness.APIKey+`"`) {
				t.Errorf("the Authorization header was changed before it arrived:\n%s", got.Head)
			}
		})
	}
}

// TestBothClientsReadTheErrorsOfSSOURL holds that they are those of the API.
func TestBothClientsReadTheErrorsOfSSOURL(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) {
		l.Lines = "api_key old-key " + harness.SharedKey + " revoked\napi_key reading-key " + harness.SharedKey + " read_only"
	})
	for name, tt := range map[string]struct {
		vary   func(*harness.NodeOptions)
		status int
		code   string
	}{
		"an unknown product":          {func(o *harness.NodeOptions) { o.Product = "nothing" }, 400, "unknown_product"},
		"an unknown customer account": {func(o *harness.NodeOptions) { o.Account = "nobody" }, 400, "customer_account_not_found"},
		"an unknown API key":          {func(o *harness.NodeOptions) { o.APIKey = "unknown" }, 400, "invalid_api_key"},
		"a revoked API key":           {func(o *harness.NodeOptions) { o.APIKey = "old-key" }, 400, "revoked_api_key"},
		"a read-only API key":         {func(o *harness.NodeOptions) { o.APIKey = "reading-key" }, 400, "read_only_api_key"},
		"another shared key":          {func(o *harness.NodeOptions) { o.SharedKey = "another" }, 400, "signature_mismatch"},
		"a response type of no grant": {func(o *harness.NodeOptions) { o.ResponseType = "id_token" }, 400, "validation_error"},
	} {
		t.Run(name, func(t *testing.T) {
			options := w.license.NodeOptions(w.Portal)
			tt.vary(&options)
			_, err := harness.StartNodeApp(t, options)
			wantRefused(t, err, tt.status, tt.code)

			a := w.app(t, nil)
			a.APIKey, a.SharedKey, a.Product, a.Account = options.APIKey, options.SharedKey, options.Product, options.Account
			_, err = a.SSOURL(t.Context(), options.ResponseType, a.RedirectURI)
			wantRefused(t, err, tt.status, tt.code)
		})
	}
}

// TestAClockMayBeOffByAQuarterOfAnHour is for both directions. A signature covers
// its date alone, so the same one is good for several requests.
func TestAClockMayBeOffByAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.app(t, nil)
	for off, good := range map[time.Duration]bool{
		14 * time.Minute: true, -14 * time.Minute: true, 16 * time.Minute: false, -16 * time.Minute: false,
	} {
		at := time.Now().Add(off)
		a.Now = func() time.Time { return at }
		for range 2 {
			_, err := a.SSOURL(t.Context(), "", a.RedirectURI)
			if good && err != nil {
				t.Errorf("off by %v: %v", off, err)
			}
			if !good {
				wantRefused(t, err, 400, "date_header_diff")
			}
		}
	}
}
