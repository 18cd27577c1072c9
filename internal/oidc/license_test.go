package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

var grace = session.User{Subject: "aa6f6f4e-0c3b-4d52-8f0b-1d3c1e0b7c55", Name: "grace", Email: "grace@acme.example", Signin: "acme"}

// link is the query of a link of the License API.
func (w *world) link(product, responseType, redirectURI string) url.Values {
	w.T.Helper()
	q, refusal := w.Server.LicenseLink(w.T.Context(), oauth.LicenseLinkRequest{
		Product: product, Account: "acme", ResponseType: responseType, RedirectURI: redirectURI,
	})
	if refusal != nil {
		w.T.Fatal(refusal)
	}
	return q
}

func TestALinkLeadsToACodeOnceThatNoTokenEndpointTakes(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(grace)
	link := w.link("demo", "code", "")
	a := w.authorize(link, cookie)
	back := parameters(t, a.Location())
	if a.Status != http.StatusFound || !strings.HasPrefix(a.Location(), "https://licensed.example/cb?code=") || back.Get("state") != link.Get("state") || back.Get("iss") != w.URL {
		t.Fatalf("got %d %s", a.Status, a.Location())
	}
	wantError(t, w.post("/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"6"}, "code": {back.Get("code")}, "redirect_uri": {"https://licensed.example/cb"},
	}), 400, "invalid_grant", badGrant)
	wantPage(t, w.authorize(link, cookie), http.StatusGone, "Start again in the application, which makes a new link.")
	activation := oauth.ActivationRequest{Product: "demo", Account: "acme", Code: back.Get("code")}
	if _, refusal := w.Server.Activate(t.Context(), activation); refusal != nil {
		t.Error(refusal)
	}
}

func TestALinkLeadsToTokensInTheFragment(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(grace)
	for uri, prefix := range map[string]string{
		"https://licensed.example/cb": "https://licensed.example/cb#access_token=", "http://localhost:54321": "http://localhost:54321#access_token=",
	} {
		link := w.link("demo", "token", uri)
		a := w.authorize(link, cookie)
		back := parameters(t, a.Location())
		if a.Status != http.StatusFound || !strings.HasPrefix(a.Location(), prefix) || back.Get("token_type") != "Bearer" || back.Get("expires_in") != "3600" || back.Get("state") != link.Get("state") || back.Get("iss") != w.URL {
			t.Fatalf("got %d %s", a.Status, a.Location())
		}
		wantHeaders(t, a, "Cache-Control", "no-store", "Referrer-Policy", "no-referrer")
		id := payload(t, back.Get("id_token"))
		if id["nonce"] != link.Get("nonce") || id["at_hash"] == nil || id["license_product"] != "demo" || id["license_customer_account"] != "acme" {
			t.Errorf("ID token %v", id)
		}
		// They are for activation alone.
		if a := w.userInfo(back.Get("access_token")); a.Status != http.StatusUnauthorized {
			t.Errorf("user info: %d %s", a.Status, a.Body)
		}
		if a := w.introspect(back.Get("access_token"), "5"); a.Body != `{"active":false}`+"\n" {
			t.Errorf("introspection: %s", a.Body)
		}
		wantPage(t, w.authorize(link, cookie), http.StatusGone, "Start again in the application, which makes a new link.")
	}
}

func TestAnApplicationGetsTheAnswerToItsLinkOnAPage(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(grace)
	a := w.authorize(w.link("demo", "token", "acme-app:/callback"), cookie)
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `content="0;url=acme-app:/callback#access_token=`) || !strings.Contains(a.Body, `href="acme-app:/callback#access_token=`) {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}

func TestClass11ALinkCannotBeTurned(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(grace)
	for name, value := range map[string]string{
		"client_id": "1", "redirect_uri": "acme-app:/callback", "customer_account_code": "other", "state": "x", "nonce": "x", "response_type": "id_token token", "handle": "x",
	} {
		link := w.link("demo", "code", "")
		link.Set(name, value)
		wantPage(t, w.authorize(link, cookie), http.StatusBadRequest, "The link was changed on its way")
	}
	link := w.link("demo", "code", "")
	w.Clock.Advance(oauth.LicenseLinkLifetime + time.Second)
	wantPage(t, w.authorize(link, cookie), http.StatusGone, "It can be used once, within ten minutes.")
	withoutHandle := w.link("demo", "code", "")
	withoutHandle.Del("handle")
	if back := parameters(t, w.authorize(withoutHandle, cookie).Location()); back.Get("error") != "invalid_request" || !strings.Contains(back.Get("error_description"), "PKCE") {
		t.Errorf("a public client without PKCE and without a link: %v", back)
	}
}

func TestClass17ALinkIsForTheUsersOfItsAccount(t *testing.T) {
	w := newWorld(t)
	for name, u := range map[string]session.User{
		"another sign-in method": {Subject: "1", Email: "x@acme.example", Signin: "local"},
		"another domain":         {Subject: "2", Email: "x@other.example", Signin: "acme"},
		"Class20 two @":          {Subject: "3", Email: "x@other.example@acme.example", Signin: "acme"},
		"no e-mail":              {Subject: "4", Signin: "acme"},
	} {
		t.Run(name, func(t *testing.T) {
			cookie, _ := w.signIn(u)
			link := w.link("demo", "code", "")
			if a := w.authorize(link, cookie); a.Location() != w.URL+"/hosted?"+link.Encode() {
				t.Errorf("got %d %s", a.Status, a.Location())
			}
			link.Set("prompt", "none")
			if back := parameters(t, w.authorize(link, cookie).Location()); back.Get("error") != "interaction_required" {
				t.Errorf("came back with %v", back)
			}
		})
	}
}

func TestALinkIsNotSpentOnWhatFails(t *testing.T) {
	w := newWorld(t)
	first, sess := w.signIn(grace)
	w.authorize(w.link("seated", "code", ""), first)
	second, _ := w.signIn(grace)

	seated := w.link("seated", "code", "")
	if a := w.authorize(seated, second); a.Location() != w.URL+"/sessions?"+seated.Encode() {
		t.Errorf("no seat: %d %s", a.Status, a.Location())
	}
	silent := changed(w.link("seated", "code", ""), []string{"prompt", "none"})
	if back := parameters(t, w.authorize(silent, second).Location()); back.Get("error") != "interaction_required" {
		t.Errorf("no seat, silently: %v", back)
	}
	if err := w.Server.Sessions.End(t.Context(), sess.Key()); err != nil {
		t.Fatal(err)
	}
	if back := parameters(t, w.authorize(seated, second).Location()); !back.Has("code") {
		t.Errorf("once a seat is free: %v", back)
	}

	unready := w.link("unready", "code", "")
	a := w.authorize(unready, second)
	wantPage(t, a, http.StatusServiceUnavailable, "Your license is not ready yet")
	if a.Header.Get("Retry-After") == "" || a.Header.Get("Refresh") == "" || !strings.Contains(a.Body, `id="retry"`) {
		t.Error("the page has no link to try again")
	}
	wantPage(t, w.authorize(unready, second), http.StatusServiceUnavailable, "Your license is not ready yet")

	w.Server.Limits.PerSession = 1
	third, _ := w.signIn(grace)
	w.code(third, w.link("demo", "code", ""))
	waiting := w.link("demo", "code", "")
	wantPage(t, w.authorize(waiting, third), http.StatusTooManyRequests, "There were too many sign-ins in a short time.")
	w.Clock.Advance(2 * time.Minute) // the code has expired
	if back := parameters(t, w.authorize(waiting, third).Location()); !back.Has("code") {
		t.Errorf("once there is room: %v", back)
	}
}

func TestALinkThatWasUsedTakesNobodysSeat(t *testing.T) {
	w := newWorld(t)
	first, sess := w.signIn(grace)
	link := w.link("moving", "code", "")
	if back := parameters(t, w.authorize(link, first).Location()); !back.Has("code") {
		t.Fatalf("came back with %v", back)
	}
	second, _ := w.signIn(grace)
	if a := w.authorize(link, second); a.Location() != "" || !w.lives(sess) {
		t.Errorf("got %d %s; the first session lives: %v", a.Status, a.Location(), w.lives(sess))
	}
}

func TestOfTwoTabsWithOneLinkOneGetsTheCode(t *testing.T) {
	w := newWorld(t)
	w.Server.Limits.PerSession = 8
	cookie, _ := w.signIn(grace)
	link := w.link("demo", "code", "")
	answers := make(chan answer)
	const tabs = 8
	for range tabs {
		go func() { answers <- w.Direct(http.MethodGet, "/oauth2/authorize", link.Encode(), "", "Cookie", cookie) }()
	}
	codes := 0
	for range tabs {
		switch a := <-answers; {
		case a.Status == http.StatusFound && parameters(t, a.Location()).Has("code"):
			codes++
		case a.Status != http.StatusGone:
			t.Errorf("got %d %s", a.Status, a.Location())
		}
	}
	if codes != 1 {
		t.Errorf("%d codes", codes)
	}
	// What the others were issued is discarded, and takes nobody's place.
	for range 7 {
		w.code(cookie, w.link("demo", "code", ""))
	}
}
