package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
)

const ownSecret = "0123456789abcdef"

func ownSigner(t *testing.T) signedhttp.Secret {
	t.Helper()
	secret, err := signedhttp.NewSecret(ownSecret)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestAUserOfABackendOfOnesOwnIsThroughTheGate(t *testing.T) {
	w := newWorld(t)
	var down atomic.Bool
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = ownSigner(t).Verify(r.Header.Get(signedhttp.Header), body, time.Now(), time.Minute)
		}
		var asked struct{ Username, Password, Address string }
		if err != nil || json.Unmarshal(body, &asked) != nil || asked.Address == "" {
			t.Errorf("%v: %s", err, body)
		}
		switch {
		case down.Load():
			rw.WriteHeader(http.StatusBadGateway)
		case asked.Username == "zoe" && asked.Password == "hunter2":
			io.WriteString(rw, `{"user":{"subject":"17","name":"zoe","groups":["players"]}}`) //nolint:errcheck // the test sees it
		default:
			rw.WriteHeader(http.StatusUnauthorized)
			io.WriteString(rw, `{"error":"wrong"}`) //nolint:errcheck // the test sees it
		}
	}))
	defer backend.Close()
	w.mustLoad(setup{gate: "require group players", global: "signin backend accounts {\nurl " + backend.URL + "\nsecret " + ownSecret + "\ntimeout 5s\n}"})
	site := "http://" + w.site + "/"
	v := w.visitor()
	if got := v.submit(v.get(site), "zoe", "wrong"); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.body, "password is wrong") {
		t.Errorf("a wrong password: %s", got.Status)
	}
	down.Store(true)
	if got := v.submit(v.get(site), "zoe", "hunter2"); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, "could not be checked") {
		t.Errorf("a backend that is down: %s", got.Status)
	}
	if got := w.visitor().signIn(site); got.body != "hello demo" {
		t.Errorf("a local user, meanwhile: %s", got.Status)
	}
	down.Store(false)
	if got := v.submit(v.get(site), "zoe", "hunter2"); got.body != "hello zoe" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	// A backend that is down later signs nobody out.
	down.Store(true)
	if got := v.getOnce(site); got.body != "hello zoe" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

func TestAUserOfASignInPageOfOnesOwnIsThroughTheGate(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := json.Marshal(map[string]any{
			"state": r.URL.Query().Get("state"), "user": map[string]any{"subject": "17", "name": "zoe", "groups": []string{"players"}},
		})
		if err != nil {
			t.Error(err)
		}
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+w.portal+"/sso/trusted/shop/ticket", strings.NewReader(string(body)))
		if err != nil {
			t.Error(err)
		}
		ask.Header.Set("X-Sso-Signature", ownSigner(t).Sign(body, time.Now()))
		got, err := http.DefaultClient.Do(ask)
		if err != nil {
			t.Error(err)
			return
		}
		defer got.Body.Close()
		var ticket struct{ URL string }
		if err := json.NewDecoder(got.Body).Decode(&ticket); err != nil || got.StatusCode != http.StatusOK {
			t.Errorf("%s: %v", got.Status, err)
		}
		http.Redirect(rw, r, ticket.URL, http.StatusSeeOther)
	}))
	defer server.Close()
	w.mustLoad(setup{gate: "require group players", global: "signin trusted shop {\nurl " + server.URL + "/sign-in\nsecret " + ownSecret + "\nname \"The shop\"\n}"})
	v := w.visitor()
	page := v.get("http://" + w.site + "/a?b=c")
	button := buttonOf(t, page, "/sso/with/shop")
	done := v.get(button)
	if onward := refresh.FindStringSubmatch(done.body); onward == nil {
		t.Fatalf("%s at %s: %s", done.Status, done.Request.URL, done.body)
	} else if got := v.get(v.resolve(done, onward[1])); got.body != "hello zoe" || got.Request.URL.RequestURI() != "/a?b=c" {
		t.Errorf("%s at %s: %s", got.Status, got.Request.URL, got.body)
	}
	// What the browser came back with signs in nobody else.
	if got := w.visitor().get(done.Request.URL.String()); got.StatusCode < 400 {
		t.Errorf("another browser: %s", got.Status)
	}
}

// buttonOf is where a link of a page leads.
func buttonOf(t *testing.T, page answered, prefix string) string {
	t.Helper()
	_, rest, found := strings.Cut(page.body, fmt.Sprintf(`href="%s`, prefix))
	query, _, _ := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("no link to %s: %s", prefix, page.body)
	}
	u, err := url.Parse(prefix + strings.ReplaceAll(query, "&amp;", "&"))
	if err != nil {
		t.Fatal(err)
	}
	return page.Request.URL.ResolveReference(u).String()
}

// Names of LDAP have commas in them. A group of such a name is one group
// everywhere, and never opens what is for another.
func TestClass38AGroupWithACommaIsOneGroup(t *testing.T) {
	w := newWorld(t)
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		io.WriteString(rw, `{"user":{"subject":"17","name":"zoe","groups":["CN=x,admins","players"]}}`) //nolint:errcheck // the test sees it
	}))
	defer backend.Close()
	s := setup{
		gate:    `require group "CN=x,admins"`,
		handler: `respond "{http.request.header.X-SSO-Groups} as {http.auth.user.groups}"`,
		global:  "signin backend accounts {\nurl " + backend.URL + "\nsecret " + ownSecret + "\ntimeout 5s\n}",
		options: "grace_period 10ms",
	}
	w.mustLoad(s)
	site := "http://" + w.site + "/"
	v := w.visitor()
	if got := v.submit(v.get(site), "zoe", "hunter2"); got.body != "CN%3Dx%2Cadmins,players as CN%3Dx%2Cadmins,players" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	for _, group := range []string{"admins", "CN=x", `"CN=x,admins,players"`} {
		s.gate = "require group " + group
		w.mustLoad(s)
		if got := v.getOnce(site); got.StatusCode != http.StatusForbidden {
			t.Errorf("group %s: %s", group, got.Status)
		}
	}
}
