package page_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func TestWidgetHandsItsScriptExactlyWhatItWasGiven(t *testing.T) {
	const callback = "acme-app://callback?code=a%2Fb+c&state=x%20y"
	_, doc := render(t, &page.Widget{
		Callback: callback, Origin: "http://localhost:8081", State: "x y&amp;", UsedURL: "/sso/widget?used=1&w=x",
	})
	view := byID(t, doc, "widget")
	for key, want := range map[string]string{
		"data-callback": callback, "data-origin": "http://localhost:8081", "data-state": "x y&amp;", "data-used": "/sso/widget?used=1&w=x",
	} {
		if got := attr(view, key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if got := attr(byID(t, doc, "continue"), "href"); got != callback {
		t.Errorf("without scripts the link to continue is %q, want %q", got, callback)
	}
}

func TestWidgetWithoutAnOriginTellsNobody(t *testing.T) {
	w, doc := render(t, &page.Widget{Callback: "acme-app:/callback?code=c"})
	if got := attr(byID(t, doc, "widget"), "data-origin"); w.Code != 200 || got != "" {
		t.Errorf("status %d, origin %q", w.Code, got)
	}
}

func TestPopupPagesAgreeOnChannelAndNonce(t *testing.T) {
	_, waiting := render(t, &page.PopupSignIn{
		SignInURL: "/oauth2/sign-in", PopupURL: "/oauth2/popup", ReturnURL: "/reports?a=1&b=%2F", Channel: "c-7", Nonce: "n-7",
	})
	_, done := render(t, &page.PopupDone{Channel: "c-7", Nonce: "n-7"})
	for _, key := range []string{"data-channel", "data-nonce"} {
		a, b := attr(byID(t, waiting, "popup-sign-in"), key), attr(byID(t, done, "popup-done"), key)
		if a != b || a == "" {
			t.Errorf("%s: %q and %q", key, a, b)
		}
	}
	if got := attr(byID(t, waiting, "popup-sign-in"), "data-back"); got != "/reports?a=1&b=%2F" {
		t.Errorf("return to %q", got)
	}
	if got := attr(byID(t, waiting, "open"), "href"); got != "/oauth2/sign-in" {
		t.Errorf("without scripts the button leads to %q", got)
	}
}

func TestAMessageOffersItsWayOn(t *testing.T) {
	w := httptest.NewRecorder()
	newPages(t, page.Brand{}).Message(w, request(), 400, page.Message{
		Fault: page.FaultWrongPassword, Link: &page.Link{Label: page.LinkTryAgain, URL: "/reports"},
	})
	doc := parse(t, w.Body.String())
	links := elements(doc, "a")
	if len(links) != 1 || attr(links[0], "href") != "/reports" || text(links[0]) != "Try again" {
		t.Errorf("links %v", links)
	}
	if got := text(elements(doc, "main")[0]); got != "User name or password is wrong Check both and try again. Try again" {
		t.Errorf("main: %q", got)
	}
}

func TestSignInTellsItsOpenerExactlyWhatItWasGiven(t *testing.T) {
	view := &page.SignIn{
		Form: page.Form{Action: "/sso/sign_in"}, Opener: page.Opener{Origin: "https://app.example", State: `x "y&amp;`},
	}
	_, doc := render(t, view)
	body := elements(doc, "body")[0]
	for key, want := range map[string]string{
		"data-opener": "https://app.example", "data-state": `x "y&amp;`, "data-code": "", "data-description": "",
	} {
		if got := attr(body, key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	view.Problem = &page.Problem{Fault: page.FaultWrongPassword, Code: "003-001"}
	_, doc = render(t, view)
	body = elements(doc, "body")[0]
	if attr(body, "data-code") != "003-001" || attr(body, "data-description") != "User name or password is wrong" {
		t.Errorf("with a problem: code %q, %q", attr(body, "data-code"), attr(body, "data-description"))
	}
	if n := scriptsNamed(doc, "opener."); n != 1 {
		t.Errorf("%d scripts tell the opener", n)
	}
}

func TestSignInWithoutAnOpenerTellsNobody(t *testing.T) {
	_, doc := render(t, &page.SignIn{
		Form: page.Form{Action: "/sso/sign_in"}, Opener: page.Opener{State: "12345678"}, Problem: &page.Problem{Fault: page.FaultWrongPassword, Code: "003-001"},
	})
	if body := elements(doc, "body")[0]; attr(body, "data-opener")+attr(body, "data-state")+attr(body, "data-code") != "" || scriptsNamed(doc, "opener.") != 0 {
		t.Error("the page sends a message")
	}
}

func scriptsNamed(doc *html.Node, name string) int {
	n := 0
	for _, script := range elements(doc, "script") {
		if strings.Contains(attr(script, "src"), "/"+name) {
			n++
		}
	}
	return n
}

func TestWidgetOnlyLeavesOutTheBrand(t *testing.T) {
	for name, views := range map[string][2]any{
		"widget":   {&page.Widget{Callback: "https://app.example/cb?code=c"}, &page.Widget{Callback: "https://app.example/cb?code=c", WidgetOnly: true}},
		"continue": {&page.Continue{Title: page.DoneSignedIn, URL: "/x"}, &page.Continue{Title: page.DoneSignedIn, URL: "/x", WidgetOnly: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for i, want := range []int{1, 0} {
				_, doc := render(t, views[i])
				if got := len(elements(doc, "header")); got != want {
					t.Errorf("widget only %v: %d headers", i == 1, got)
				}
			}
		})
	}
}
