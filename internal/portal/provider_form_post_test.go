package portal_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/portal"
)

// sentOn is the form that a page sends on.
func sentOn(t *testing.T, w *httptest.ResponseRecorder) (action string, fields url.Values) {
	t.Helper()
	want(t, w, http.StatusOK)
	found := regexp.MustCompile(`<form id="form-post" method="post" action="([^"]+)"`).FindStringSubmatch(w.Body.String())
	if found == nil {
		t.Fatalf("no form: %s", w.Body)
	}
	fields = url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(w.Body.String(), -1) {
		fields.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return html.UnescapeString(found[1]), fields
}

var crossSite = []string{"Origin", "https://acme.example", "Sec-Fetch-Site", "cross-site"}

// OAuth 2.0 Form Post Response Mode, as Apple answers.
func TestAProviderMayPostItsAnswer(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	state := b.leave(b.open(openID), "acme")
	answer := url.Values{"state": {state}, "code": {"ann"}, "user": {`{"name":{"firstName":"Änn"}}`}}

	// What another site posts comes without cookies that are SameSite=Lax.
	w := f.visitor().do("POST", portal.CallbackPrefix+"acme", answer, crossSite...)
	action, fields := sentOn(t, w)
	if fields.Encode() != answer.Encode() || strings.Contains(action, state) {
		t.Fatalf("%s gets %v", action, fields)
	}
	if f.acme.ended != 0 {
		t.Error("the provider was asked before the browser was known")
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self';") {
		t.Errorf("policy %q", csp)
	}
	w = b.do("POST", action, fields, sameOrigin...)
	want(t, w, http.StatusOK)
	if to := leadsTo(w); to != "/oauth2/authorize?client_id=1&x=%20y" || f.who(b.session()) != "ann.acme" {
		t.Errorf("%q is signed in, and led to %s", f.who(b.session()), to)
	}
	want(t, b.do("POST", action, fields, sameOrigin...), http.StatusConflict) // once
}

func TestClass22APostedAnswerIsBoundAsAnyOther(t *testing.T) {
	f := newOutsideFixture(t)
	mine, other := f.visitor(), f.visitor()
	state := mine.leave(mine.open(openID), "acme")
	other.leave(other.open(openID), "acme")
	answer := url.Values{"state": {state}, "code": {"ann"}}
	again := portal.CallbackPrefix + "acme?sent_on=1"
	for name, w := range map[string]*httptest.ResponseRecorder{
		"another browser's":                      other.do("POST", again, answer, sameOrigin...),
		"sent on by another site, so no cookies": f.visitor().do("POST", again, answer, crossSite...),
		"to another provider's callback":         mine.do("POST", portal.CallbackPrefix+"umbrella?sent_on=1", answer, sameOrigin...),
		"a state that was made up":               mine.do("POST", again, url.Values{"state": {"x"}, "code": {"ann"}}, sameOrigin...),
		"two states":                             mine.do("POST", again, url.Values{"state": {state, state}, "code": {"ann"}}, sameOrigin...),
		"Class24 too many fields":                mine.do("POST", portal.CallbackPrefix+"acme", url.Values{"state": {state}, "x": make([]string, 64)}, crossSite...),
		"Class24 too large":                      mine.do("POST", portal.CallbackPrefix+"acme", url.Values{"x": {strings.Repeat("x", 64<<10)}}, crossSite...),
	} {
		if w.Code < 400 || f.acme.ended != 0 {
			t.Errorf("%s: %d: %s", name, w.Code, w.Body)
		}
	}
	want(t, mine.do("POST", portal.CallbackPrefix+"nobody", answer, crossSite...), http.StatusNotFound)
	want(t, mine.do("PUT", portal.CallbackPrefix+"acme", answer), http.StatusMethodNotAllowed)
	if mine.session() != "" || other.session() != "" {
		t.Error("a user is signed in")
	}
	want(t, mine.do("POST", again, answer, sameOrigin...), http.StatusOK)
	if f.who(mine.session()) != "ann.acme" {
		t.Error("what was refused has cost the sign-in")
	}
}
