package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// A visitor is a browser of a world.
type visitor struct {
	*world
	*http.Client
}

func (w *world) visitor() *visitor { return &visitor{w, w.browser()} }

// An answer is a response that was read.
type answered struct {
	*http.Response
	body string
}

func (v *visitor) send(r *http.Request) answered {
	v.t.Helper()
	resp, err := v.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answered{resp, string(body)}
}

func (v *visitor) request(method, url, body string) *http.Request {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// get follows redirects.
func (v *visitor) get(url string) answered {
	v.t.Helper()
	return v.send(v.request(http.MethodGet, url, ""))
}

// getOnce does not follow redirects.
func (v *visitor) getOnce(url string) answered {
	v.t.Helper()
	once := *v.Client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return (&visitor{v.world, &once}).get(url)
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
	refresh    = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)
)

// submit fills in the sign-in page, sends it, and goes where that leads.
func (v *visitor) submit(page answered, name, password string) answered {
	v.t.Helper()
	action := formAction.FindStringSubmatch(page.body)
	if action == nil {
		v.t.Fatalf("no sign-in page, but %s:\n%s", page.Status, page.body)
	}
	target := v.resolve(page, action[1])
	form := url.Values{"username": {name}, "password": {password}}
	for _, hidden := range formHidden.FindAllStringSubmatch(page.body, -1) {
		form.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
	}
	done := v.send(v.request(http.MethodPost, target, form.Encode()))
	if onward := refresh.FindStringSubmatch(done.body); onward != nil {
		return v.get(v.resolve(done, onward[1]))
	}
	return done
}

// resolve is where an attribute of a page leads.
func (v *visitor) resolve(page answered, attribute string) string {
	v.t.Helper()
	target, err := page.Request.URL.Parse(html.UnescapeString(attribute))
	if err != nil {
		v.t.Fatal(err)
	}
	return target.String()
}

// signIn goes to a page behind the gate through the sign-in page.
func (v *visitor) signIn(page string) answered {
	v.t.Helper()
	return v.submit(v.get(page), "demo", "demo")
}

const verifier = "a-verifier-of-at-least-forty-three-characters-"

// code asks the portal for an authorization code; redeem redeems it.
func (v *visitor) code() string {
	v.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	resp := v.getOnce("http://" + v.portal + "/api/oauth2/auth?" + url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {"http://" + v.site + "/oauth2/callback"},
		"scope": {""}, "state": {"12345678"}, "audience": {"1"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	location, err := resp.Location()
	if err != nil || location.Query().Get("code") == "" {
		v.t.Fatalf("no code, but %s, Location %v, %s", resp.Status, location, resp.body)
	}
	return location.Query().Get("code")
}

func (v *visitor) redeem(code string) answered {
	v.t.Helper()
	return v.send(v.request(http.MethodPost, "http://"+v.portal+"/api/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"1"}, "redirect_uri": {"http://" + v.site + "/oauth2/callback"},
		"code": {code}, "code_verifier": {verifier},
	}.Encode()))
}

func TestAnUnauthenticatedVisitorSignsInAndPassesTheGate(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	v := w.visitor()
	if got := v.signIn("http://" + w.site + "/a?b=c"); got.body != "hello demo" || got.Request.URL.RequestURI() != "/a?b=c" {
		t.Errorf("%s at %s: %s", got.Status, got.Request.URL, got.body)
	}
	if got := v.redeem(v.code()); got.StatusCode != http.StatusOK || !strings.Contains(got.body, `"access_token"`) {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}
