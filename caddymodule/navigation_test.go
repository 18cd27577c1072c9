package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestClass37NothingThatAnotherSiteCanOpenSignsOut goes through all that a browser
// can be led to with the cookies of its user.
func TestClass37NothingThatAnotherSiteCanOpenSignsOut(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	v := w.visitor()
	page := "http://" + w.site + "/"
	v.signIn(page)
	if n := len(w.sessions()); n != 1 {
		t.Fatalf("%d sessions", n)
	}
	portal, site := "http://"+w.portal, "http://"+w.site
	game := authorize("1", site+"/oauth2/callback")
	client := *v.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	once := &visitor{w, &client}
	requests := map[string][]string{
		"a link on another site":                      {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Referer", "https://evil.example/"},
		"a link on a neighbour that hides itself":     {"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
		"an image on another site":                    {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
		"an image on this site":                       {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
		"a frame on another site":                     {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
		"a script that wants no answer":               {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty"},
		"a script of another site":                    {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		"a page that is loaded early":                 {"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", "prefetch;prerender"},
		"a link of this site that is loaded early":    {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty", "Sec-Purpose", "prefetch"},
		"an older browser on another site":            {"Referer", "https://evil.example/"},
		"an older browser on a site that hides":       nil,
		"a form of another site, in an older browser": {"Origin", "https://evil.example", "Referer", "https://evil.example/"},
	}
	for _, target := range []string{
		portal + "/api/oauth2/clear_sso",
		portal + "/api//oauth2/clear_sso",
		portal + "/api/oauth2/clear_sso?x=y",
		portal + "/api/oauth2/logout?sessions=sso",
		portal + "/api/oauth2/logout?sessions=all",
		portal + "/api/oauth2/sso?" + game,
		portal + "/api/oauth2/auth?" + game,
		portal + "/sso/sign_out",
		portal + "/sso/sign_out?client_id=1&redirect_uri=" + url.QueryEscape(site+"/oauth2/callback"),
		portal + "/sso/sign_in?switch=1",
		portal + "/sso/sign_in?switch=1&" + game,
		portal + "/sso/account",
		portal + "/sso/sessions?",
		portal + "/sso/with/local?t=x",
		portal + "/sso/callback/local?state=x&code=y",
		portal + "/sso/widget?w=x&used=1",
		portal + "/oauth2/end_session",
		portal + "/oauth2/end_session?client_id=1&id_token_hint=x",
		site + "/oauth2/sign_in?switch=1",
		site + "/oauth2/sign_in?popup=nonce&return=/",
		site + "/oauth2/send?form=AAAAAAAAAAAAAAAAAAAAAA&return=/",
		site + "/oauth2/callback?code=x&state=y",
		site + "/oauth2/signed_in?return=/&window=x",
		site + "/oauth2/sign_out",
		site + "/oauth2/sign_out?return=" + url.QueryEscape(site+"/signed-out"),
	} {
		for name, headers := range requests {
			r := v.request(http.MethodGet, target, "")
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			got := once.send(r)
			for _, cookie := range got.Cookies() {
				if cookie.MaxAge < 0 && strings.Contains(cookie.Name, "session") {
					t.Errorf("%s, %s: cookie %s is taken away", target, name, cookie.Name)
				}
			}
			if n := len(w.sessions()); n != 1 {
				t.Fatalf("%s, %s: %s, and %d sessions are left", target, name, got.Status, n)
			}
		}
	}
	if got := v.getOnce(page); got.body != "hello demo" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}
