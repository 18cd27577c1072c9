package page_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// everyPage has one complete, valid view of each page, with every optional
// field filled in.
func everyPage() []any {
	form := page.Form{Action: "/sso/act", Transaction: "sealed"}
	ada := page.Person{Name: "ada", Email: "ada@example.com"}
	return []any{
		&page.SignIn{
			App: "Acme", Form: form, Scopes: scopes("email", "inventory"), Username: "ada",
			Problem: &page.Problem{Fault: page.FaultWrongPassword, Code: "003-001"}, SwitchFrom: &ada,
			Providers: []page.Provider{{Name: "Forge", URL: "/sso/social/forge", Icon: "https://forge.example/icon.svg"}},
			Opener:    page.Opener{Origin: "https://app.example", State: "12345678"},
		},
		&page.Consent{
			App: "Acme", Person: ada, Scopes: []page.Scope{{Name: "email"}, {Name: "inventory", Text: "trade your items", New: true}}, Site: "app.example",
			Form: form, SwitchURL: "/sso/sign_in?switch=1", Problem: &page.Problem{Fault: page.FaultConsentChanged},
			Remembered: true, Opener: page.Opener{Origin: "https://app.example", State: "12345678"},
		},
		&page.Continue{Title: page.DoneSignedIn, App: "Acme", URL: "https://app.example/"},
		&page.FormPost{
			Title: page.DoneSignedIn, App: "Acme", ActionURL: "https://app.example/cb?track=7",
			Fields: []page.Field{{Name: "code", Value: "c"}, {Name: "state", Value: "s"}},
		},
		&page.Application{App: "Acme", URL: "acme-app:/callback?code=c", Outcome: page.OutcomeSignedIn},
		&page.Account{
			Person: ada, App: "Acme", ContinueURL: "https://app.example/", SwitchURL: "/sso/switch",
			SessionsURL: "/sso/sessions", SignOut: form,
		},
		&page.Sessions{
			Person: ada, App: "Acme", Seats: 2, Form: form, ContinueURL: "/oauth2/authorize?client_id=1",
			List: []page.OpenSession{
				{ID: "a1", Device: page.Device{Browser: "Firefox", System: "Linux"}, From: "192.0.2.7", Begun: time.Unix(1764000000, 0), Seen: time.Unix(1764000600, 0), Here: true},
				{ID: "b2", Device: page.Device{Agent: "Safari on iPhone"}, From: "2001:db8::1", Begun: time.Unix(1763000000, 0), Seen: time.Unix(1763500000, 0), Seat: true},
			},
			Access: []page.LastingAccess{
				{ID: "c3", App: "Demo game", Begun: time.Unix(1764000000, 0), Used: time.Unix(1764000600, 0), Here: true},
				{ID: "d4", App: "Launcher", Gone: true, Begun: time.Unix(1763000000, 0)},
			},
			Allowed: []page.AllowedApp{{ID: "7", App: "Acme", Scopes: scopes("email", "inventory"), Since: time.Unix(1764000000, 0)}},
		},
		&page.SignOut{Person: ada, App: "Acme", Form: form, CancelURL: "/sso/account"},
		&page.SignedOut{App: "Acme", SignInURL: "/sso/sign-in"},
		&page.Widget{
			App: "Acme", Callback: "acme-app://callback?code=c&state=s", Origin: "https://app.example",
			State: "12345678", UsedURL: "/sso/widget?used=1", Scopes: scopes("email", "inventory"),
		},
		&page.Denied{Person: ada, App: "Acme", Reason: page.DeniedGroups([]string{"operators"}), SwitchURL: "/oauth2/switch", SignOut: form},
		&page.PopupSignIn{
			App: "Acme", SignInURL: "/oauth2/sign-in", PopupURL: "/oauth2/popup", ReturnURL: "/reports?q=1",
			Channel: "sso-7f", Nonce: "n-7f",
		},
		&page.PopupDone{App: "Acme", Channel: "sso-7f", Nonce: "n-7f", ReturnURL: "/reports?q=1"},
		&page.UnsentForm{
			App: "Acme", Why: page.FormTooLarge, SignInURL: "/oauth2/sign-in",
			Kept: &page.KeptForm{
				ID: "f-7f", NextURL: "/oauth2/send", ActionURL: "https://app.example/save?x=1", Type: "multipart/form-data", Charset: "utf-8",
				Fields: []page.KeptField{{Name: []byte("a"), Value: []byte("b c")}, {Name: []byte("f"), File: true, FileName: []byte("f.txt"), FileType: "text/plain"}},
			},
		},
		&page.SendForm{App: "Acme", ID: "f-7f", BackURL: "/form", Visitor: "v", Person: page.Person{Name: "ada", Email: "ada@example.com"}},
		&page.Message{
			App: "Acme", Fault: page.FaultAnotherAccount("ada", "Forge", "bob"), Reason: page.ReasonAccountAtProvider("Forge", "ada"), Next: page.NextStartAtSignIn,
			Link: &page.Link{Label: page.LinkSwitch("Forge"), URL: "/sso/sign-in"}, Other: &page.Link{Label: page.LinkStay("ada"), URL: "/sso/stay"}, Reference: "7f3a",
		},
	}
}

// scopes are those of names alone.
func scopes(names ...string) []page.Scope {
	list := make([]page.Scope, 0, len(names))
	for _, name := range names {
		list = append(list, page.Scope{Name: name})
	}
	return list
}

func request() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }

func write(t *testing.T, p *page.Pages, w http.ResponseWriter, view any) {
	t.Helper()
	switch v := view.(type) {
	case *page.SignIn:
		p.SignIn(w, request(), http.StatusOK, *v)
	case *page.Consent:
		p.Consent(w, request(), http.StatusOK, *v)
	case *page.Continue:
		p.Continue(w, request(), *v)
	case *page.FormPost:
		p.FormPost(w, request(), *v)
	case *page.Application:
		p.Application(w, request(), *v)
	case *page.Account:
		p.Account(w, request(), *v)
	case *page.Sessions:
		p.Sessions(w, request(), *v)
	case *page.SignOut:
		p.SignOut(w, request(), *v)
	case *page.SignedOut:
		p.SignedOut(w, request(), *v)
	case *page.Widget:
		p.Widget(w, request(), *v)
	case *page.Denied:
		p.Denied(w, request(), *v)
	case *page.PopupSignIn:
		p.PopupSignIn(w, request(), *v)
	case *page.PopupDone:
		p.PopupDone(w, request(), *v)
	case *page.UnsentForm:
		p.UnsentForm(w, request(), *v)
	case *page.SendForm:
		p.SendForm(w, request(), *v)
	case *page.Message:
		p.Message(w, request(), http.StatusBadRequest, *v)
	default:
		t.Fatalf("no page for %T", view)
	}
}

func nameOf(view any) string { return reflect.TypeOf(view).Elem().Name() }

func newPages(t *testing.T, b page.Brand) *page.Pages {
	t.Helper()
	p, err := page.New(b, page.Options{Failed: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func render(t *testing.T, view any) (*httptest.ResponseRecorder, *html.Node) {
	t.Helper()
	w := httptest.NewRecorder()
	write(t, newPages(t, page.Brand{Name: "Northwind"}), w, view)
	return w, parse(t, w.Body.String())
}

func parse(t *testing.T, body string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// elements returns the elements with that name, or all with "".
func elements(doc *html.Node, name string) []*html.Node {
	var found []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

func byID(t *testing.T, doc *html.Node, id string) *html.Node {
	t.Helper()
	for _, n := range elements(doc, "") {
		if attr(n, "id") == id {
			return n
		}
	}
	t.Fatalf("no element with id %q", id)
	return nil
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestEveryPageIsAWholeDocument(t *testing.T) {
	for _, view := range everyPage() {
		t.Run(nameOf(view), func(t *testing.T) {
			_, doc := render(t, view)
			if lang := attr(elements(doc, "html")[0], "lang"); lang != "en" {
				t.Errorf("lang = %q", lang)
			}
			for _, name := range []string{"title", "h1", "main", "header"} {
				if n := len(elements(doc, name)); n != 1 {
					t.Errorf("%d elements <%s>, want 1", n, name)
				}
			}
			title := text(elements(doc, "title")[0])
			if !ofOnesOwn(view) && !strings.Contains(title, "Acme") {
				t.Errorf("title %q does not name the application", title)
			}
			if !strings.HasSuffix(title, " · Northwind") {
				t.Errorf("title %q does not end with the brand", title)
			}
			ids := map[string]bool{}
			for _, n := range elements(doc, "") {
				if id := attr(n, "id"); id != "" && ids[id] {
					t.Errorf("id %q is repeated", id)
				} else {
					ids[id] = true
				}
			}
			for _, n := range elements(doc, "") {
				for _, reference := range []string{"for", "aria-describedby", "aria-labelledby", "aria-controls"} {
					if id := attr(n, reference); id != "" && !ids[id] {
						t.Errorf("%s=%q leads nowhere", reference, id)
					}
				}
			}
			for _, form := range elements(doc, "form") {
				action := "/sso/act"
				if v, posts := view.(*page.FormPost); posts {
					action = v.ActionURL
				}
				if attr(form, "method") != "post" || attr(form, "action") != action {
					t.Errorf("form: method %q action %q", attr(form, "method"), attr(form, "action"))
				}
				if len(elements(form, "button")) == 0 {
					t.Error("a form without a button needs a script")
				}
			}
		})
	}
}

func TestEveryPageLoadsOnlyItsOwnAssets(t *testing.T) {
	p := newPages(t, page.Brand{}).With("/oauth2/assets")
	assets := p.Assets()
	for _, view := range everyPage() {
		t.Run(nameOf(view), func(t *testing.T) {
			w := httptest.NewRecorder()
			write(t, p, w, view)
			for _, n := range elements(parse(t, w.Body.String()), "") {
				address := attr(n, "src")
				if n.Data == "link" {
					address = attr(n, "href")
				}
				if address == "" || address == "https://forge.example/icon.svg" {
					continue
				}
				if !strings.HasPrefix(address, "/oauth2/assets/") {
					t.Errorf("<%s> loads %q", n.Data, address)
				}
				got := httptest.NewRecorder()
				assets.ServeHTTP(got, httptest.NewRequest(http.MethodGet, address, nil))
				if got.Code != http.StatusOK {
					t.Errorf("%s: status %d", address, got.Code)
				}
			}
		})
	}
}

func TestHeadHasTheHeadersOfGetAndNoBody(t *testing.T) {
	p := newPages(t, page.Brand{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.SignedOut(w, request(), page.SignedOut{App: "Acme"})
	}))
	defer server.Close()
	got, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	head, err := http.Head(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = head.Body.Close() }()
	if body, err := io.ReadAll(head.Body); err != nil || len(body) != 0 {
		t.Errorf("HEAD: %d bytes, error %v", len(body), err)
	}
	if head.ContentLength <= 0 || head.ContentLength != got.ContentLength || head.StatusCode != got.StatusCode {
		t.Errorf("HEAD: length %d status %d, GET: length %d status %d",
			head.ContentLength, head.StatusCode, got.ContentLength, got.StatusCode)
	}
}

func TestStatusOfPages(t *testing.T) {
	for name, test := range map[string]struct {
		view any
		want int
	}{
		"denied is 403":                          {&page.Denied{App: "Acme"}, http.StatusForbidden},
		"signed out is 200":                      {&page.SignedOut{}, http.StatusOK},
		"a message has the status it is given":   {&page.Message{Fault: page.FaultBadRequest}, http.StatusBadRequest},
		"sign-in in a window is 200":             {&page.PopupSignIn{SignInURL: "/s", PopupURL: "/p", ReturnURL: "/"}, http.StatusOK},
		"sign-in in a window may be a 401, too":  {&page.PopupSignIn{SignInURL: "/s", PopupURL: "/p", ReturnURL: "/", Status: 401}, http.StatusUnauthorized},
		"a page without its links becomes a 500": {&page.PopupSignIn{}, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := page.New(page.Brand{}, page.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			write(t, p, w, test.view)
			if w.Code != test.want {
				t.Errorf("status %d, want %d", w.Code, test.want)
			}
		})
	}
}

// ofOnesOwn reports whether a page is about the person, not about an application.
func ofOnesOwn(view any) bool {
	switch view.(type) {
	case *page.Account, *page.Sessions:
		return true
	}
	return false
}
