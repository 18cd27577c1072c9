package oauth_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// eve signs in with the provider of the other customer. mallory signs in with the
// right provider, but has an e-mail address of another domain.
var (
	maker   = session.User{Subject: "11111111-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "maker", Email: "maker@ACME.example", Signin: "acme-azure"}
	eve     = session.User{Subject: "22222222-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "eve", Email: "eve@acme.example", Signin: "other-okta"}
	mallory = session.User{Subject: "33333333-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "mallory", Email: "mallory@acme.example@evil.example", Signin: "acme-azure"}
)

// newLicensed is a world with licensed software.
func newLicensed(t testing.TB) *world {
	w := newWorld(t)
	w.Store = w.store
	uri := func(raw string) oauth.RedirectURI {
		r, err := oauth.ParseRedirectURI(raw)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var err error
	w.Licenses, err = oauth.NewLicenses([]*oauth.Product{
		{Code: "demo", Client: w.client("1"), RedirectURIs: []oauth.RedirectURI{uri("http://localhost"), uri("https://app.example/sso")}, ResponseTypes: []string{"code", "token"}, Accounts: []string{"acme", "other"}},
		{Code: "tool", Client: w.client("1"), RedirectURIs: []oauth.RedirectURI{uri("http://localhost")}, ResponseTypes: []string{"code", "token"}, Accounts: []string{"acme", "other"}},
		{Code: "served", Client: w.client("2"), RedirectURIs: []oauth.RedirectURI{uri("http://localhost")}, ResponseTypes: []string{"code"}, Accounts: []string{"acme"}},
		{Code: "off", Client: w.client("3"), RedirectURIs: []oauth.RedirectURI{uri("http://localhost")}, ResponseTypes: []string{"code"}, Accounts: []string{"acme"}},
	}, []*oauth.CustomerAccount{
		{Code: "acme", Methods: []string{"acme-azure"}, EmailDomains: []string{"acme.example"}},
		{Code: "other", Methods: []string{"other-okta"}},
	}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) link(change func(*oauth.LicenseLinkRequest)) url.Values {
	w.t.Helper()
	r := oauth.LicenseLinkRequest{Product: "demo", Account: "acme"}
	if change != nil {
		change(&r)
	}
	q, refusal := w.LicenseLink(w.t.Context(), r)
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return q
}

func tokenGrant(r *oauth.LicenseLinkRequest) { r.ResponseType = "token" }

// follow checks the request of a link after change.
func (w *world) follow(q url.Values, change func(*oauth.OpenIDRequest)) (*oauth.Authorization, *oauth.Error) {
	r := oauth.OpenIDRequest{
		ResponseType: q.Get("response_type"), ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"), State: q.Get("state"),
		Scope: []string{"openid"}, Nonce: q.Get("nonce"), Handle: q.Get("handle"), CustomerAccount: q.Get("customer_account_code"),
	}
	if change != nil {
		change(&r)
	}
	return w.CheckOpenID(w.t.Context(), r)
}

func (w *world) followed(q url.Values) *oauth.Authorization {
	w.t.Helper()
	a, refusal := w.follow(q, nil)
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return a
}

func TestALinkIsValidOnlyForItsProduct(t *testing.T) {
	w := newLicensed(t)
	a := w.followed(w.link(nil))
	if a.License.Product.Code != "demo" || a.License.Account.Code != "acme" || a.Token || a.RedirectURI != "http://localhost" || a.Challenge != "" || a.Methods[0] != "acme-azure" {
		t.Errorf("it leads to %+v", a)
	}
	other := w.link(func(r *oauth.LicenseLinkRequest) { r.Account = "other" })
	tokens := w.link(tokenGrant)
	for name, change := range map[string]func(*oauth.OpenIDRequest){
		"another client":                 func(r *oauth.OpenIDRequest) { r.ClientID = "2" },
		"another redirect URI":           func(r *oauth.OpenIDRequest) { r.RedirectURI = "https://app.example/sso" },
		"a redirect URI on another port": func(r *oauth.OpenIDRequest) { r.RedirectURI = "http://localhost:1" },
		"no redirect URI":                func(r *oauth.OpenIDRequest) { r.RedirectURI = "" },
		"another account":                func(r *oauth.OpenIDRequest) { r.CustomerAccount = "other" },
		"no account":                     func(r *oauth.OpenIDRequest) { r.CustomerAccount = "" },
		"another state":                  func(r *oauth.OpenIDRequest) { r.State = "12345678" },
		"a nonce":                        func(r *oauth.OpenIDRequest) { r.Nonce = "n" },
		"another grant":                  func(r *oauth.OpenIDRequest) { r.ResponseType = "id_token token" },
		"another handle":                 func(r *oauth.OpenIDRequest) { r.Handle = other.Get("handle") },
		"the handle of the other grant":  func(r *oauth.OpenIDRequest) { r.Handle = tokens.Get("handle") },
		"a handle cut short":             func(r *oauth.OpenIDRequest) { r.Handle = r.Handle[:len(r.Handle)-1] },
		"a handle that is none":          func(r *oauth.OpenIDRequest) { r.Handle = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			a, refusal := w.follow(w.link(nil), change)
			wantKind(t, refusal, oauth.InvalidRequest)
			if a != nil {
				t.Error("the error could be sent to a redirect URI")
			}
		})
	}
	// Without the handle it is an ordinary request, and the rules of the client apply.
	if _, refusal := w.follow(w.link(nil), func(r *oauth.OpenIDRequest) { r.Handle = "" }); refusal == nil {
		t.Error("a link without its handle is taken")
	}
}

func TestALinkIsUsedOnceWithinTenMinutes(t *testing.T) {
	w := newLicensed(t)
	a := w.followed(w.link(nil))
	if refusal := w.UseLink(t.Context(), a.License); refusal != nil {
		t.Fatal(refusal)
	}
	wantKind(t, w.UseLink(t.Context(), a.License), oauth.LinkSpent)
	q := w.link(nil)
	w.clock.Advance(oauth.LicenseLinkLifetime)
	last := w.followed(q)
	w.clock.Advance(time.Second)
	_, refusal := w.follow(q, nil)
	wantKind(t, refusal, oauth.LinkSpent)
	// The mark of its use is kept longer than the link is valid.
	if refusal := w.UseLink(t.Context(), last.License); refusal != nil {
		t.Fatal(refusal)
	}
	wantKind(t, w.UseLink(t.Context(), last.License), oauth.LinkSpent)
}

func TestALinkFollowsTheCurrentConfiguration(t *testing.T) {
	w := newLicensed(t)
	q := w.link(tokenGrant)
	full := w.Licenses
	for name, c := range map[string]struct {
		products []*oauth.Product
		kind     oauth.Kind
	}{
		"no product":           {nil, oauth.UnknownProduct},
		"another account":      {[]*oauth.Product{{Code: "demo", Client: w.client("1"), RedirectURIs: []oauth.RedirectURI{redirectURI(t, "http://localhost")}, ResponseTypes: []string{"token"}, Accounts: []string{"other"}}}, oauth.UnknownAccount},
		"another grant":        {[]*oauth.Product{{Code: "demo", Client: w.client("1"), RedirectURIs: []oauth.RedirectURI{redirectURI(t, "http://localhost")}, ResponseTypes: []string{"code"}, Accounts: []string{"acme"}}}, oauth.InvalidRequest},
		"another redirect URI": {[]*oauth.Product{{Code: "demo", Client: w.client("1"), RedirectURIs: []oauth.RedirectURI{redirectURI(t, "http://localhost:1")}, ResponseTypes: []string{"token"}, Accounts: []string{"acme"}}}, oauth.InvalidRequest},
		"a disabled client":    {[]*oauth.Product{{Code: "demo", Client: &oauth.Client{ID: "1", Disabled: true}, RedirectURIs: []oauth.RedirectURI{redirectURI(t, "http://localhost")}, ResponseTypes: []string{"token"}, Accounts: []string{"acme"}}}, oauth.ClientDisabled},
	} {
		t.Run(name, func(t *testing.T) {
			licenses, err := oauth.NewLicenses(c.products, []*oauth.CustomerAccount{{Code: "acme", Methods: []string{"a"}}, {Code: "other", Methods: []string{"b"}}}, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			w.Licenses = licenses
			defer func() { w.Licenses = full }()
			_, refusal := w.follow(q, nil)
			wantKind(t, refusal, c.kind)
		})
	}
	w.followed(q)
	_, refusal := w.LicenseLink(t.Context(), oauth.LicenseLinkRequest{Product: "off", Account: "acme"})
	wantKind(t, refusal, oauth.ClientDisabled)
	w.Licenses = nil
	_, refusal = w.LicenseLink(t.Context(), oauth.LicenseLinkRequest{Product: "demo", Account: "acme"})
	wantKind(t, refusal, oauth.UnknownProduct)
}

func TestClass17And20OnlyTheCustomersOwnUsersAreAccepted(t *testing.T) {
	w := newLicensed(t)
	a := w.followed(w.link(nil))
	for _, c := range []struct {
		user    session.User
		accepts bool
	}{
		{maker, true},
		{eve, false},
		{mallory, false},
		{ada, false},
		{session.User{Name: "no address", Signin: "acme-azure"}, false},
		{session.User{Name: "a domain alone", Email: "@acme.example", Signin: "acme-azure"}, false},
		{session.User{Name: "a domain below", Email: "x@mail.acme.example", Signin: "acme-azure"}, false},
	} {
		c.user.Subject = maker.Subject
		_, in := w.signIn(c.user)
		if a.Accepts(in) != c.accepts {
			t.Errorf("%s is accepted: %v", c.user.Name, !c.accepts)
		}
	}
}

func TestLicensesThatCannotWorkAreRefused(t *testing.T) {
	client := &oauth.Client{ID: "1"}
	uris := []oauth.RedirectURI{redirectURI(t, "https://app.example/")}
	right := oauth.Product{Code: "demo", Client: client, RedirectURIs: uris, ResponseTypes: []string{"code"}, Accounts: []string{"acme"}}
	account := oauth.CustomerAccount{Code: "acme", Methods: []string{"local"}}
	for want, change := range map[string]func(*oauth.Product, *oauth.CustomerAccount){
		"short code without spaces, such as demo": func(p *oauth.Product, _ *oauth.CustomerAccount) { p.Code = "a b" },
		"has no client":                           func(p *oauth.Product, _ *oauth.CustomerAccount) { p.Client = nil },
		"has no redirect_uri":                     func(p *oauth.Product, _ *oauth.CustomerAccount) { p.RedirectURIs = nil },
		"has no customer_account":                 func(p *oauth.Product, _ *oauth.CustomerAccount) { p.Accounts = nil },
		"seats cannot be negative":                func(p *oauth.Product, _ *oauth.CustomerAccount) { p.Seats.Limit = -1 },
		"has no response_type":                    func(p *oauth.Product, _ *oauth.CustomerAccount) { p.ResponseTypes = nil },
		`"id_token" is unknown`:                   func(p *oauth.Product, _ *oauth.CustomerAccount) { p.ResponseTypes = []string{"id_token"} },
		"customer_account other is not defined":   func(p *oauth.Product, _ *oauth.CustomerAccount) { p.Accounts = []string{"other"} },
		"short code without spaces, such as acme": func(_ *oauth.Product, a *oauth.CustomerAccount) { a.Code = "" },
		"has no signin":                           func(_ *oauth.Product, a *oauth.CustomerAccount) { a.Methods = nil },
		`"@acme.example" is no domain`:            func(_ *oauth.Product, a *oauth.CustomerAccount) { a.EmailDomains = []string{"@acme.example"} },
		`"ACME.example" is no domain`:             func(_ *oauth.Product, a *oauth.CustomerAccount) { a.EmailDomains = []string{"ACME.example"} },
	} {
		p, a := right, account
		change(&p, &a)
		if _, err := oauth.NewLicenses([]*oauth.Product{&p}, []*oauth.CustomerAccount{&a}, nil, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, err := range map[string]error{
		"product demo: defined twice":          second(oauth.NewLicenses([]*oauth.Product{&right, &right}, []*oauth.CustomerAccount{&account}, nil, "")),
		"customer_account acme: defined twice": second(oauth.NewLicenses(nil, []*oauth.CustomerAccount{&account, &account}, nil, "")),
		"default_response_type":                second(oauth.NewLicenses(nil, nil, nil, "implicit")),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func second(_ *oauth.Licenses, err error) error { return err }
