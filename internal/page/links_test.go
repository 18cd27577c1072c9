package page_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// A template would percent-encode some bytes that may stand in a query as they
// are: an application would get another state, and a backend another search.
func TestLinksAreByteForByte(t *testing.T) {
	for _, address := range []string{
		`https://app.example/x?q=\d+&f=(a|b)^{c}'d'`, "https://app.example/?q=`~*!$,;:@[]&r=100%", `acme-app:/callback?state=(1|'2')&code=%7e\`,
	} {
		views := []any{
			&page.Continue{URL: address}, &page.Application{URL: address}, &page.Account{ContinueURL: address, SignOut: page.Form{Action: "/"}},
			&page.SignedOut{SignInURL: address}, &page.SignOut{CancelURL: address, Form: page.Form{Action: "/"}},
			&page.Widget{Callback: address, Origin: "https://app.example"}, &page.Denied{SwitchURL: address},
			&page.PopupSignIn{SignInURL: "/", PopupURL: "/", ReturnURL: address}, &page.PopupDone{ReturnURL: address},
			&page.UnsentForm{SignInURL: "/", Kept: &page.KeptForm{NextURL: "/", ActionURL: address}},
			&page.SendForm{BackURL: address}, &page.Message{Fault: page.FaultBadRequest, Link: &page.Link{URL: address}}, &page.Message{Fault: page.FaultBadRequest, Other: &page.Link{URL: address}},
			&page.SignIn{Providers: []page.Provider{{URL: address}}}, &page.Sessions{ContinueURL: address, Form: page.Form{Action: "/"}},
		}
		if strings.HasPrefix(address, "https:") {
			views = append(views, &page.FormPost{ActionURL: address})
		}
		for _, view := range views {
			_, doc := render(t, view)
			if !slices.ContainsFunc(elements(doc, ""), func(n *html.Node) bool {
				return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Val == address })
			}) {
				t.Errorf("%s: no attribute is %q", nameOf(view), address)
			}
		}
	}
}
