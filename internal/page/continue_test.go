package page_test

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// refreshed reads a declarative refresh as browsers do (HTML, section
// "Refresh state", the shared declarative refresh steps), from its time on.
func refreshed(content string) (time, address string) {
	const space = "\t\n\f\r "
	content = strings.TrimLeft(content, space)
	rest := strings.TrimLeft(content, "0123456789")
	time = content[:len(content)-len(rest)]
	rest = strings.TrimLeft(rest, "0123456789.")
	if rest == "" || !strings.ContainsAny(rest[:1], ";,"+space) {
		return time, ""
	}
	rest = strings.TrimLeft(rest, space)
	if rest != "" && (rest[0] == ';' || rest[0] == ',') {
		rest = strings.TrimLeft(rest[1:], space)
	}
	if len(rest) >= 3 && strings.EqualFold(rest[:3], "url") {
		if after, found := strings.CutPrefix(strings.TrimLeft(rest[3:], space), "="); found {
			rest = strings.TrimLeft(after, space)
		}
	}
	if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		rest, _, _ = strings.Cut(rest[1:], rest[:1])
	}
	return time, rest
}

func refreshOf(t *testing.T, doc *html.Node) string {
	t.Helper()
	for _, n := range elements(doc, "meta") {
		if strings.EqualFold(attr(n, "http-equiv"), "refresh") {
			return attr(n, "content")
		}
	}
	t.Fatal("nothing leads on")
	return ""
}

func TestContinueLeadsToExactlyItsURL(t *testing.T) {
	for _, address := range []string{
		"/",
		"/sso/account",
		"/api/oauth2/auth?client_id=1&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=12345678",
		"http://localhost:8080//evil.example/",
		"https://app.example/it's/here",
		`https://app.example/?q="quoted"&r='single'`,
		`https://app.example/"`,
		"https://app.example/'",
		"https://app.example/a;b;url=c,d?e;f=g",
		"https://app.example/two words?and=more of them",
		"https://app.example/žluťoučký/kůň?名=値#部",
		"https://app.example/?next=https://other.example/?url='x'",
		"https://app.example/?a=<script>&b=</meta>&amp;c=&quot;&lt",
		"https://app.example/100%25?a=%27%22%3B+%20",
		"https://app.example/`{|}^[]~",
		`https://app.example/?q=\d+&path=C:\Users`,
		"https://[::1]:8443/?x",
		"acme-app:/callback?code=c;d",
		"url:=x",
	} {
		t.Run(address, func(t *testing.T) {
			w, doc := render(t, &page.Continue{Title: page.DoneSignedIn, URL: address})
			if w.Code != http.StatusOK {
				t.Fatalf("status %d", w.Code)
			}
			if time, got := refreshed(refreshOf(t, doc)); time != "0" || got != address {
				t.Errorf("leads to %q after %s seconds, want %q at once", got, time, address)
			}
		})
	}
}

func TestContinueSaysWhatWasDoneAndWhereItLeads(t *testing.T) {
	for name, test := range map[string]struct {
		view page.Continue
		want string
	}{
		"to an application": {page.Continue{Title: page.DoneSignedIn, App: "Acme", URL: "/x"}, "You’re signed in Taking you to Acme… Continue"},
		"to something else": {page.Continue{Title: page.DoneSignedOut, URL: "/x"}, "You’re signed out One moment… Continue"},
	} {
		t.Run(name, func(t *testing.T) {
			_, doc := render(t, &test.view)
			if got := text(elements(doc, "main")[0]); got != test.want {
				t.Errorf("main: %q, want %q", got, test.want)
			}
			links := elements(doc, "a")
			if len(links) != 1 || attr(links[0], "href") != "/x" || !has(links[0], "autofocus") {
				t.Errorf("the link to continue without a refresh: %v", links)
			}
		})
	}
}

func TestNoOtherPageLeadsOnByItself(t *testing.T) {
	for _, view := range everyPage() {
		w, doc := render(t, view)
		_, leads := view.(*page.Continue)
		if _, toApplication := view.(*page.Application); toApplication {
			leads = true
		}
		found := w.Header().Get("Refresh") != ""
		for _, n := range elements(doc, "meta") {
			found = found || attr(n, "http-equiv") != ""
		}
		if found != leads {
			t.Errorf("%s leads on: %v", nameOf(view), found)
		}
	}
}
