package oidc_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// posted is what an answer has the browser post, and where to.
func posted(t *testing.T, a answer) (action string, fields url.Values) {
	t.Helper()
	found := regexp.MustCompile(`<form id="form-post" method="post" action="([^"]+)"`).FindStringSubmatch(a.Body)
	if a.Status != http.StatusOK || found == nil {
		t.Fatalf("no form: %d %s %s", a.Status, a.Location(), a.Body)
	}
	fields = url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(a.Body, -1) {
		fields.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return html.UnescapeString(found[1]), fields
}

func TestFormPostSendsTheAnswerInABody(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	a := w.authorize(app("response_mode", "form_post"), cookie)
	action, fields := posted(t, a)
	code := fields.Get("code")
	if want := (url.Values{"code": {code}, "state": {"a state+1"}, "iss": {w.URL}}); action != callback || fields.Encode() != want.Encode() || code == "" {
		t.Errorf("%s gets %v", action, fields)
	}
	if !strings.Contains(a.Header.Get("Content-Security-Policy"), "; form-action https://app.example") || strings.Contains(a.Header.Get("Content-Security-Policy"), "server.example") {
		t.Errorf("policy %s", a.Header.Get("Content-Security-Policy"))
	}
	wantHeaders(t, a, "Location", "", "Cache-Control", "no-store", "Referrer-Policy", "origin", "X-Frame-Options", "DENY")
	if got := w.tokens(redemption(code)); got.ID == "" {
		t.Error("no ID token")
	}
	action, fields = posted(t, w.authorize(app("response_mode", "form_post", "redirect_uri", "http://127.0.0.1:5127/callback", "state", `"><script>`), cookie))
	if action != "http://127.0.0.1:5127/callback" || fields.Get("state") != `"><script>` {
		t.Errorf("%s gets %v", action, fields)
	}

	// Who has to sign in comes back to the same.
	hosted := w.authorize(app("response_mode", "form_post"), "").Location()
	query, found := strings.CutPrefix(hosted, w.URL+"/hosted?")
	if !found {
		t.Fatalf("sent to %s", hosted)
	}
	if action, fields = posted(t, w.Get("/oauth2/authorize?"+query, cookie)); action != callback || fields.Get("code") == "" {
		t.Errorf("%s gets %v", action, fields)
	}
}

func TestErrorsTravelAsAnswersDo(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for name, tt := range map[string]struct {
		query  url.Values
		cookie string
		error  string
	}{
		"nobody is signed in":        {app("prompt", "none"), "", "login_required"},
		"no challenge":               {app("code_challenge", "-", "code_challenge_method", "-"), cookie, "invalid_request"},
		"a parameter that is wrong":  {app("max_age", "x"), cookie, "invalid_request"},
		"an audience of another":     {app("audience", "server"), cookie, "invalid_request"},
		"tokens that are not for it": {app("response_type", "id_token token"), cookie, "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.query.Set("response_mode", "form_post")
			action, fields := posted(t, w.authorize(tt.query, tt.cookie))
			if action != callback || fields.Get("error") != tt.error || fields.Get("error_description") == "" || fields.Get("state") != "a state+1" || fields.Get("iss") != w.URL || fields.Has("code") {
				t.Errorf("%s gets %v", action, fields)
			}
		})
	}
	// No form can be posted there.
	a := w.authorize(app("redirect_uri", "com.example.app:/cb", "response_mode", "form_post"), cookie)
	if a.Status != http.StatusOK || !strings.Contains(a.Body, "com.example.app:/cb?error=invalid_request&amp;error_description=response_mode%20should%20be") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	wantPage(t, w.authorize(app("redirect_uri", "https://evil.example", "response_mode", "form_post"), cookie), http.StatusBadRequest, "not registered")
}

func TestALinkOfTheLicenseAPIMayBeAnsweredByAForm(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(grace)
	link := w.link("demo", "token", "http://localhost:5127")
	link.Set("response_mode", "form_post")
	action, fields := posted(t, w.authorize(link, cookie))
	if action != "http://localhost:5127" || fields.Get("id_token") == "" || fields.Get("access_token") == "" || fields.Get("state") != link.Get("state") {
		t.Errorf("%s gets %v", action, fields)
	}
}
