package page_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func TestSignInFormIsWhatPasswordManagersAndPhonesExpect(t *testing.T) {
	_, doc := render(t, &page.SignIn{Form: page.Form{Action: "/sso/sign-in", Transaction: `a"b`}})
	form := elements(doc, "form")[0]
	if attr(form, "method") != "post" || attr(form, "action") != "/sso/sign-in" {
		t.Errorf("form %v", form.Attr)
	}
	fields := map[string]*html.Node{}
	for _, input := range elements(form, "input") {
		fields[attr(input, "name")] = input
	}
	for name, want := range map[string]map[string]string{
		"transaction": {"type": "hidden", "value": `a"b`},
		"username":    {"type": "text", "autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"},
		"password":    {"type": "password", "autocomplete": "current-password"},
	} {
		for key, value := range want {
			if fields[name] == nil || attr(fields[name], key) != value {
				t.Errorf("field %s: %s is not %q", name, key, value)
			}
		}
	}
	labels := map[string]string{}
	for _, label := range elements(form, "label") {
		labels[attr(label, "for")] = text(label)
	}
	if labels["username"] != "User name or e-mail" || labels["password"] != "Password" {
		t.Errorf("labels %v", labels)
	}
	if !has(byID(t, doc, "reveal"), "hidden") {
		t.Error("the button that shows the password does nothing without its script, so it must be hidden")
	}
}

func TestSignInStartsWhereTheNextKeystrokeGoes(t *testing.T) {
	for name, test := range map[string]struct{ username, want string }{
		"an empty page starts at the user name":         {"", "username"},
		"a known user name leaves the password to type": {"ada", "password"},
	} {
		t.Run(name, func(t *testing.T) {
			_, doc := render(t, &page.SignIn{Form: page.Form{Action: "/s"}, Username: test.username})
			var focused []string
			for _, n := range elements(doc, "") {
				if has(n, "autofocus") {
					focused = append(focused, attr(n, "id"))
				}
			}
			if len(focused) != 1 || focused[0] != test.want {
				t.Errorf("autofocus on %v, want %s", focused, test.want)
			}
			if got := attr(byID(t, doc, "username"), "value"); got != test.username {
				t.Errorf("user name %q, want %q", got, test.username)
			}
		})
	}
}

func TestSignInSaysWhatWentWrongAndWhatToDoNext(t *testing.T) {
	_, doc := render(t, &page.SignIn{
		Form:    page.Form{Action: "/s"},
		Problem: &page.Problem{Fault: page.FaultWrongPassword},
	})
	problem := byID(t, doc, "problem")
	if attr(problem, "role") != "alert" {
		t.Error("the problem is not an alert")
	}
	if got, want := text(problem), "User name or password is wrong Check both and try again."; got != want {
		t.Errorf("problem %q, want %q", got, want)
	}
	for _, id := range []string{"username", "password"} {
		if attr(byID(t, doc, id), "aria-describedby") != "problem" {
			t.Errorf("%s is not described by the problem", id)
		}
	}
	if title := text(elements(doc, "title")[0]); !strings.HasPrefix(title, "User name or password is wrong") {
		t.Errorf("title %q", title)
	}
}

func TestWaitingTimesAreSaidAndSent(t *testing.T) {
	for _, test := range []struct {
		wait          time.Duration
		header, words string
	}{
		{time.Second, "1", "Try again in 1 second."},
		{1500 * time.Millisecond, "2", "Try again in 2 seconds."},
		{90 * time.Second, "90", "Try again in 90 seconds."},
		{91 * time.Second, "91", "Try again in 2 minutes."},
		{15 * time.Minute, "900", "Try again in 15 minutes."},
		{2 * time.Hour, "7200", "Try again in 2 hours."},
	} {
		t.Run(test.wait.String(), func(t *testing.T) {
			for _, view := range []any{
				&page.SignIn{Form: page.Form{Action: "/s"}, RetryAfter: test.wait},
				&page.Message{Fault: page.FaultTooManySignIns, RetryAfter: test.wait},
			} {
				w, doc := render(t, view)
				if got := w.Header().Get("Retry-After"); got != test.header {
					t.Errorf("%T: Retry-After %q, want %q", view, got, test.header)
				}
				if got := text(elements(doc, "main")[0]); !strings.Contains(got, test.words) {
					t.Errorf("%T: %q does not say %q", view, got, test.words)
				}
			}
		})
	}
}

func TestSignInShowsTheRequestedScopesInWords(t *testing.T) {
	_, doc := render(t, &page.SignIn{
		App: "Acme", Form: page.Form{Action: "/s"}, Scopes: scopes("email", "offline", "playfab", "inventory"),
	})
	var got []string
	for _, item := range elements(doc, "li") {
		got = append(got, text(item))
	}
	want := "see your e-mail address|stay signed in when you are away|connect your PlayFab account|use inventory"
	if strings.Join(got, "|") != want {
		t.Errorf("scopes %q, want %q", got, want)
	}
}

func TestSignInLeavesOutWhatItIsToldTo(t *testing.T) {
	view := page.SignIn{
		Form:      page.Form{Action: "/s"},
		Providers: []page.Provider{{Name: "Forge", URL: "/social/forge", Icon: "https://forge.example/icon.svg"}},
	}
	links := func(v page.SignIn) (n int, headers int, policy string) {
		w, doc := render(t, &v)
		return len(elements(doc, "a")), len(elements(doc, "header")), w.Header().Get("Content-Security-Policy")
	}
	if n, headers, policy := links(view); n != 1 || headers != 1 || policy != policyWith(" https://forge.example", "'self'") {
		t.Errorf("%d links, %d headers, policy %q", n, headers, policy)
	}
	view.DisableSocials, view.WidgetOnly = true, true
	if n, headers, policy := links(view); n != 0 || headers != 0 || policy != policyWith("", "'self'") {
		t.Errorf("without socials, as a widget: %d links, %d headers, policy %q", n, headers, policy)
	}
}

func TestSignInSaysWhoIsSignedInWhenSwitching(t *testing.T) {
	_, doc := render(t, &page.SignIn{Form: page.Form{Action: "/s"}, SwitchFrom: &page.Person{Name: "ada"}})
	if got := text(elements(doc, "main")[0]); !strings.Contains(got, "You are signed in as ada.") {
		t.Errorf("main: %q", got)
	}
}

func TestSignOutNeedsAPost(t *testing.T) {
	for _, view := range []any{
		&page.SignOut{Form: page.Form{Action: "/sign-out"}},
		&page.Account{Person: page.Person{Name: "ada"}, SignOut: page.Form{Action: "/sign-out"}},
		&page.Denied{Person: page.Person{Name: "ada"}, SignOut: page.Form{Action: "/sign-out"}},
	} {
		_, doc := render(t, view)
		forms := elements(doc, "form")
		if len(forms) != 1 || attr(forms[0], "method") != "post" || attr(forms[0], "action") != "/sign-out" {
			t.Errorf("%T: no form that posts", view)
		}
		for _, a := range elements(doc, "a") {
			if strings.Contains(attr(a, "href"), "sign-out") {
				t.Errorf("%T: a link signs out", view)
			}
		}
	}
}

func TestDeniedSaysWhoWhereAndWhatNext(t *testing.T) {
	_, doc := render(t, &page.Denied{
		Person: page.Person{Name: "ada", Email: "ada@example.com"}, App: "Grafana", SwitchURL: "/switch",
	})
	main := text(elements(doc, "main")[0])
	for _, want := range []string{"access to Grafana", "ada@example.com", "Ask the people who run Grafana", "Use another account"} {
		if !strings.Contains(main, want) {
			t.Errorf("%q does not say %q", main, want)
		}
	}
	if n := len(elements(doc, "form")); n != 0 {
		t.Errorf("%d forms without an action", n)
	}
}

func TestSignInWithoutAFormHasItsProviders(t *testing.T) {
	_, doc := render(t, &page.SignIn{
		App: "Acme", Scopes: scopes("email"), DisableSocials: true, // which would leave no sign-in method
		Providers: []page.Provider{{Name: "Forge", URL: "/sso/with/forge?t=x"}},
	})
	if len(elements(doc, "form")) != 0 || len(elements(doc, "input")) != 0 {
		t.Error("there is a form")
	}
	links := elements(doc, "a")
	if len(links) != 1 || attr(links[0], "href") != "/sso/with/forge?t=x" || text(links[0]) != "Continue with Forge" || attr(links[0], "class") != "button" {
		t.Errorf("%d links", len(links))
	}
	if main := text(elements(doc, "main")[0]); strings.Contains(main, " or ") || !strings.Contains(main, "see your e-mail address") {
		t.Errorf("main: %q", main)
	}
}

func TestSignInSaysWhyItAsksWhoIsSignedIn(t *testing.T) {
	for want, view := range map[string]page.SignIn{
		"You are signed in as ada. Sign in below to use another account.":                               {},
		"You are signed in as ada, but you cannot use this account for Acme. Sign in with another one.": {MethodRefused: true},
		"You are signed in as ada, but Acme asks you to sign in again.":                                 {Again: true},
	} {
		view.App, view.SwitchFrom, view.Form = "Acme", &page.Person{Name: "ada"}, page.Form{Action: "/s"}
		_, doc := render(t, &view)
		if got := text(elements(doc, "main")[0]); !strings.Contains(got, want) {
			t.Errorf("main: %q, want %q", got, want)
		}
	}
}

func TestAnIconIsAPictureThatPagesMayShow(t *testing.T) {
	for raw, right := range map[string]bool{
		"/icons/a.svg": true, "https://a.example/icon.svg": true, "http://localhost/a.svg": true,
		"": false, "a.svg": false, "//a.example/a.svg": false, "http://a.example/a.svg": false, "javascript:alert(1)": false, "data:image/png;base64,AAAA": false,
	} {
		if err := page.CheckIcon(raw); (err == nil) != right {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
