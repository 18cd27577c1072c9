package license

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// wantPage holds that a browser ended at a page of the portal that says what is
// wrong, and that the application heard nothing.
func (a *app) wantPage(t *testing.T, page *harness.Response, portal string, status int, words string) {
	t.Helper()
	if !strings.HasPrefix(page.URL.String(), portal+"/") || page.Status != status || !strings.Contains(page.Text(), words) {
		t.Errorf("ended at %s with %d, want a page of %d that says %q:\n%s", page.URL, page.Status, status, words, page.Text())
	}
	if a.Arrived() {
		t.Error("something arrived at the application")
	}
}

// TestClass11AnEditedLinkLeadsNowhere changes a link in each part: to another
// product, account, redirect URI and grant, by its parameters and by the handle
// of another link.
func TestClass11AnEditedLinkLeadsNowhere(t *testing.T) {
	t.Parallel()
	w := start(t, withMore)
	a := w.app(t, harness.NewClient(t))
	a.code(t, harness.Demo) // the browser is signed in: nothing else prevents it
	other := w.app(t, a.browser)
	other.Product, other.Account = "second", "third"
	handleOf := func(link string) string {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("handle")
	}
	for name, edit := range map[string]func(url.Values){
		"another redirect URI":              func(q url.Values) { q.Set("redirect_uri", other.RedirectURI) },
		"a redirect URI elsewhere":          func(q url.Values) { q.Set("redirect_uri", "https://elsewhere.example/") },
		"no redirect URI":                   func(q url.Values) { q.Del("redirect_uri") },
		"another customer account":          func(q url.Values) { q.Set("customer_account_code", "third") },
		"no customer account":               func(q url.Values) { q.Del("customer_account_code") },
		"another client":                    func(q url.Values) { q.Set("client_id", "1") },
		"another grant":                     func(q url.Values) { q.Set("response_type", "id_token token") },
		"another grant, with a nonce":       func(q url.Values) { q.Set("response_type", "id_token token"); q.Set("nonce", "n") },
		"another state":                     func(q url.Values) { q.Set("state", "of-another-user") },
		"no state":                          func(q url.Values) { q.Del("state") },
		"a handle that was changed":         func(q url.Values) { q.Set("handle", flipped(q.Get("handle"))) },
		"a handle that was cut":             func(q url.Values) { q.Set("handle", q.Get("handle")[:40]) },
		"no handle":                         func(q url.Values) { q.Del("handle") },
		"two handles":                       func(q url.Values) { q.Add("handle", q.Get("handle")) },
		"the handle of another product":     func(q url.Values) { q.Set("handle", handleOf(other.link(t, "code"))) },
		"the handle of the other grant":     func(q url.Values) { q.Set("handle", handleOf(a.link(t, "token"))) },
		"the handle of another application": func(q url.Values) { q.Set("handle", handleOf(w.app(t, a.browser).link(t, "code"))) },
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(a.link(t, "code"))
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			edit(q)
			edited := *u
			edited.RawQuery = q.Encode()
			page := a.browser.Open(edited.String())
			a.wantPage(t, page, w.Portal, http.StatusBadRequest, "")
			if other.Arrived() {
				t.Error("something arrived at the other application")
			}
			// Where nobody is signed in it leads to no form, either.
			if _, err := harness.NewClient(t).Open(edited.String()).Form("password"); err == nil {
				t.Error("the edited link leads to a sign-in page")
			}
			// It was not spent by that.
			code := codeIn(t, a.arrived(t, a.browser.Open(u.String())))
			w.wantActivated(t, a, a.Activation(code, ""), harness.Demo)
		})
	}
}

func flipped(handle string) string {
	middle := len(handle) / 2
	other := "A"
	if handle[middle] == 'A' {
		other = "B"
	}
	return handle[:middle] + other + handle[middle+1:]
}

func TestALinkIsGoodForOneAnswer(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, responseType := range []string{"code", "token"} {
		t.Run(responseType, func(t *testing.T) {
			a := w.app(t, harness.NewClient(t))
			link := a.link(t, responseType)
			a.arrived(t, a.browser.SignIn(link, harness.Demo))
			for name, browser := range map[string]*harness.Client{"the same browser": a.browser, "another": harness.NewClient(t)} {
				page := browser.Open(link)
				a.wantPage(t, page, w.Portal, http.StatusGone, "This link cannot be used any more")
				if t.Failed() {
					t.Fatal("that was " + name)
				}
			}
			// A sign-in page that stood open when another browser used the link.
			link = a.link(t, responseType)
			late := harness.NewClient(t)
			form, err := late.Open(link).Form("password")
			if err != nil {
				t.Fatal(err)
			}
			a.arrived(t, a.browser.Open(link))
			form.Values.Set("username", harness.Admin.Name)
			form.Values.Set("password", harness.Admin.Password)
			page, err := late.Submit(form)
			if err != nil {
				t.Fatal(err)
			}
			a.wantPage(t, page, w.Portal, http.StatusGone, "This link cannot be used any more")
		})
	}
}

func TestALinkThatIsOpenedManyTimesAtOnceAnswersOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.app(t, harness.NewClient(t))
	a.code(t, harness.Demo)
	for range 10 { // since a race need not be lost
		link := a.link(t, "code")
		code := ""
		var found sync.Mutex
		var all sync.WaitGroup
		ready := make(chan struct{})
		for range 12 {
			all.Go(func() {
				<-ready
				page, err := a.browser.TryFetch(link)
				if err != nil {
					t.Error(err)
					return
				}
				u, err := url.Parse(page.Header.Get("Location"))
				found.Lock()
				defer found.Unlock()
				switch {
				case page.Status == http.StatusFound && err == nil && code == "":
					code = u.Query().Get("code")
				case page.Status != http.StatusGone:
					t.Errorf("answered %d, to %s, too", page.Status, page.Header.Get("Location"))
				}
			})
		}
		close(ready)
		all.Wait()
		// What the others had begun was taken back; this one was not.
		w.wantActivated(t, a, a.Activation(code, ""), harness.Demo)
	}
}

// TestAnAccountTakesOnlyAddressesOfItsDomain is about two customers whose users
// sign in by the same method.
func TestAnAccountTakesOnlyAddressesOfItsDomain(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) {
		l.Accounts = []string{"strict"}
		l.Lines = "customer_account strict {\nsignin local\nemail_domain acme.example\n}"
	})
	a := w.app(t, harness.NewClient(t))
	a.code(t, harness.Demo) // a session that counts for the account other
	a.Account = "strict"

	page := a.browser.Open(a.link(t, "code"))
	a.wantPage(t, page, w.Portal, http.StatusOK, "You are signed in as demo, but you cannot use this account for Demo CAD")
	page, err := a.browser.TrySignIn(a.link(t, "code"), harness.Demo)
	if err == nil {
		t.Fatalf("a user of another domain ended at %s with %d: %s", page.URL, page.Status, page.Text())
	}
	if a.Arrived() {
		t.Fatal("something arrived at the application")
	}
	w.wantActivated(t, a, a.Activation(a.code(t, harness.LicenseUser), ""), harness.LicenseUser)

	// Its codes and tokens are for nobody else, and those of others not for it.
	code, tokens := a.newCode(t), a.again(t, "token")
	before := len(w.backend.Requests())
	a.Account = "other"
	_, err = a.Activate(t.Context(), a.Activation(code, ""))
	wantRefused(t, err, http.StatusBadRequest, "invalid_code")
	_, err = a.Activate(t.Context(), a.Activation("", tokens.Get("id_token")))
	wantRefused(t, err, http.StatusUnauthorized, "invalid_id_token")
	if len(w.backend.Requests()) != before {
		t.Error("it reached the backend")
	}
}

// TestACustomSchemeGetsAPageWithTheLink is about an application that the system
// opens, beside the browser.
func TestACustomSchemeGetsAPageWithTheLink(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) {
		l.Lines = "product native {\nclient 10\nredirect_uri acme-app:/callback\nresponse_type code token\ncustomer_account other\n}"
	})
	a := w.app(t, harness.NewClient(t))
	a.Product, a.RedirectURI = "native", "" // its only one
	for _, responseType := range []string{"code", "token"} {
		var page *harness.Response
		if responseType == "code" {
			page = a.browser.SignIn(a.link(t, responseType), harness.Demo)
		} else {
			page = a.browser.Open(a.link(t, responseType))
		}
		if page.Status != http.StatusOK || page.URL.Path != "/oauth2/authorize" {
			t.Fatalf("ended at %s with %d: %s", page.URL, page.Status, page.Body)
		}
		link, err := page.LinkSaying("Return to Demo CAD")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		var body []byte
		if responseType == "code" {
			body = a.Activation(u.Query().Get("code"), "")
		} else {
			fragment, err := url.ParseQuery(u.EscapedFragment())
			if err != nil {
				t.Fatal(err)
			}
			body = a.Activation("", fragment.Get("id_token"))
		}
		if !strings.HasPrefix(link, "acme-app:/callback") {
			t.Errorf("the link is %s", link)
		}
		w.wantActivated(t, a, body, harness.Demo)
	}
}
