package page_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// german is a language of this test alone. It has some of the texts.
const german = `
[sign_in]
title = "Anmelden"
for_app = "<i>weiter</i> zu {{.App}}"

[fault.wrong_password]
title = "Name oder Passwort ist falsch"

[fault.provider_down]
title = "{{.Provider}} & Co. antwortet nicht"

[wait]
again_in = "Noch einmal in {{.Wait}}."

[wait.seconds]
one = "einer Sekunde"
other = "{{.PluralCount}} Sekunden"
`

func twoLanguages(t *testing.T) *page.Pages {
	t.Helper()
	english, err := os.ReadFile("messages/en.toml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := page.NewIn(page.Brand{Name: "Northwind"}, page.Options{Failed: func(err error) { t.Error(err) }}, fstest.MapFS{
		"messages/de.toml": {Data: []byte(german)}, "messages/en.toml": {Data: english},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestALanguageIsAFile(t *testing.T) {
	for name, test := range map[string]struct {
		query, cookie, accept string
		want, sets            string
	}{
		"nothing is English":                             {want: "en"},
		"Accept-Language chooses":                        {accept: "fr;q=0.9, de-AT;q=0.8, en;q=0.1", want: "de"},
		"a language that there is not is English":        {accept: "fr", want: "en"},
		"the cookie comes before Accept-Language":        {cookie: "de", accept: "en", want: "de"},
		"a cookie with anything else counts for nothing": {cookie: "%%", accept: "de", want: "de"},
		"ui_locales comes before all, and is kept":       {query: "?ui_locales=fr+de+en", cookie: "en", accept: "en", want: "de", sets: "de"},
		"what is kept is not set again":                  {query: "?ui_locales=de", cookie: "de", want: "de"},
		"ui_locales that there are not count as none":    {query: "?ui_locales=fr", accept: "de", want: "de"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/sso/sign_in"+test.query, nil)
			if test.accept != "" {
				r.Header.Set("Accept-Language", test.accept)
			}
			if test.cookie != "" {
				r.Header.Set("Cookie", page.LanguageCookie+"="+test.cookie)
			}
			w := httptest.NewRecorder()
			twoLanguages(t).SignIn(w, r, http.StatusOK, page.SignIn{Form: page.Form{Action: "/sso/sign_in"}})
			doc := parse(t, w.Body.String())
			heading := map[string]string{"en": "Sign in", "de": "Anmelden"}[test.want]
			if lang := attr(elements(doc, "html")[0], "lang"); lang != test.want || text(elements(doc, "h1")[0]) != heading {
				t.Errorf("lang=%q with heading %q, want %s", lang, text(elements(doc, "h1")[0]), test.want)
			}
			if vary := w.Header().Get("Vary"); vary != "Accept-Language" {
				t.Errorf("Vary: %q", vary)
			}
			set := ""
			for _, c := range w.Result().Cookies() {
				set = c.Value
			}
			if set != test.sets {
				t.Errorf("the cookie is set to %q, want %q", set, test.sets)
			}
		})
	}
}

func TestALanguageMayLackTextsAndHasNoMarkup(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/?ui_locales=de", nil)
	w := httptest.NewRecorder()
	twoLanguages(t).SignIn(w, r, http.StatusOK, page.SignIn{
		App: "A<c>me", Form: page.Form{Action: "/sso/sign_in"},
		Problem: &page.Problem{Fault: page.FaultProviderDown("<b>")}, RetryAfter: time.Second,
	})
	doc := parse(t, w.Body.String())
	main := text(elements(doc, "main")[0])
	for _, want := range []string{
		"<i>weiter</i> zu A<c>me", "<b> & Co. antwortet nicht", "Noch einmal in einer Sekunde.",
		"User name or e-mail", // which this language does not have
	} {
		if !strings.Contains(main, want) {
			t.Errorf("%q does not say %q", main, want)
		}
	}
	if title := text(elements(doc, "title")[0]); title != "<b> & Co. antwortet nicht · Anmelden · A<c>me · Northwind" {
		t.Errorf("title %q", title)
	}
	if len(elements(doc, "i")) != 0 || len(elements(doc, "b")) != 0 || len(elements(doc, "bdi")) == 0 {
		t.Error("a text is taken for markup, or markup for a text")
	}
}

func TestOneLanguageHasNothingToNegotiate(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/?ui_locales=de", nil)
	r.Header.Set("Accept-Language", "de")
	w := httptest.NewRecorder()
	newPages(t, page.Brand{}).SignedOut(w, r, page.SignedOut{})
	if w.Header().Get("Vary") != "" || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("header %v", w.Header())
	}
}

func TestMessageFilesThatCannotBeReadAreRefused(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"no English":               {"messages/de.toml": {Data: []byte(german)}},
		"a name that is no tag":    {"messages/en.toml": {Data: []byte(`[app]`)}, "messages/german!.toml": {Data: []byte(german)}},
		"a file that is not TOML":  {"messages/en.toml": {Data: []byte(`[`)}},
		"a text that has a syntax": {"messages/en.toml": {Data: []byte("[app]\nunnamed = 1")}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := page.NewIn(page.Brand{}, page.Options{}, files); err == nil {
				t.Error("no error")
			}
		})
	}
}
