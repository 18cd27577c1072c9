package page_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func TestAFormIsPostedToOneTargetAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		view             page.FormPost
		policy, referrer string
	}{
		"another site":                     {page.FormPost{ActionURL: "https://app.example/cb?x=1"}, "https://app.example", "origin"},
		"a port":                           {page.FormPost{ActionURL: "http://127.0.0.1:5000/cb"}, "http://127.0.0.1:5000", "origin"},
		"an address that no policy spells": {page.FormPost{ActionURL: "http://[::1]:5000/cb"}, "http:", "origin"},
		"where its answer leads on": {
			page.FormPost{ActionURL: "https://api.example/cb", Origins: []string{"https://api.example", "https://app.example"}}, "https://api.example https://app.example", "origin",
		},
		"this very site": {page.FormPost{ActionURL: "/sso/callback/acme?again=1"}, "'self'", "same-origin"},
	} {
		t.Run(name, func(t *testing.T) {
			w, doc := render(t, &tt.view)
			if got := w.Header().Get("Content-Security-Policy"); got != policyWith("", tt.policy) {
				t.Errorf("policy %q", got)
			}
			if got := w.Header().Get("Referrer-Policy"); got != tt.referrer {
				t.Errorf("referrer policy %q", got)
			}
			if form := elements(doc, "form")[0]; attr(form, "action") != tt.view.ActionURL || w.Code != http.StatusOK {
				t.Errorf("status %d, action %q", w.Code, attr(form, "action"))
			}
		})
	}
}

func TestClass21FieldsArriveAsTheyAre(t *testing.T) {
	fields := []page.Field{{Name: "state", Value: `"><script>alert(1)</script>&amp;`}, {Name: `submit" x="`, Value: " ä\u2028+%"}}
	w, doc := render(t, &page.FormPost{ActionURL: "https://app.example/cb", Fields: fields})
	inputs := elements(doc, "input")
	if len(inputs) != len(fields) {
		t.Fatal(w.Body)
	}
	for i, f := range fields {
		if attr(inputs[i], "type") != "hidden" || attr(inputs[i], "name") != f.Name || attr(inputs[i], "value") != f.Value {
			t.Errorf("%q became %q = %q", f, attr(inputs[i], "name"), attr(inputs[i], "value"))
		}
	}
	checkInert(t, w.Body.String())
	if strings.Contains(w.Header().Get("Content-Security-Policy"), "unsafe") {
		t.Error("the policy allows inline scripts")
	}
}
