package caddymodule

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// Any page can have the portal post a code to a gate, with whatever state and
// challenge it likes.
func TestClass24CodesThatArePostedToAGateDoNotUseUpThoseOfAUser(t *testing.T) {
	for name, path := range map[string]string{"with a path": "/oauth2/callback", "without one": ""} {
		t.Run("a redirect URI "+name, func(t *testing.T) {
			w := newWorld(t)
			site := "http://" + freeAddr(t)
			w.mustLoad(setup{
				global: "codes {\nper_session 2\n}\nclient 2 {\nname Wiki\npublic\nredirect_uri " + site + path + "\n}",
				sites:  site + " {\nsso_gate {\nclient 2\n}\nrespond \"backend {http.request.method}\"\n}",
			})
			v := w.visitor()
			v.signIn("http://" + w.site + "/")
			for range 4 {
				page := v.get("http://" + w.portal + "/oauth2/authorize?" + url.Values{
					"response_type": {"code"}, "response_mode": {"form_post"}, "client_id": {"2"}, "redirect_uri": {site + path},
					"scope": {"openid"}, "state": {"12345678"},
					"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
				}.Encode())
				answer := url.Values{}
				for _, field := range formHidden.FindAllStringSubmatch(page.body, -1) {
					answer.Set(field[1], html.UnescapeString(field[2]))
				}
				if answer.Get("code") == "" {
					t.Fatalf("%s: no code is posted: %s", page.Status, page.body)
				}
				r := v.request(http.MethodPost, site+path, answer.Encode())
				r.Header.Set("Origin", "http://"+w.portal) // which the policy of that page lets browsers say
				if got := v.send(r); got.StatusCode != http.StatusBadRequest || strings.Contains(got.body, "backend") {
					t.Errorf("%s: %s", got.Status, got.body)
				}
			}
			if got := v.get(site + "/x"); got.body != "backend GET" {
				t.Fatalf("%s: %s", got.Status, got.body)
			}
			if path != "" {
				return
			}
			r := v.request(http.MethodPost, site, "code=1&state=12345678")
			r.Header.Set("Origin", site)
			if got := v.send(r); got.body != "backend POST" {
				t.Errorf("a form of the site's own: %s: %s", got.Status, got.body)
			}
		})
	}
}
