package protocol

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// atStudio is a rig whose only sign-in method is a studio's own page.
func atStudio(t *testing.T) (*rig, *harness.Studio) {
	t.Helper()
	var s *harness.Studio
	r := start(t, func(c *harness.Caddyfile) {
		s = harness.NewStudio(t, c.Portal)
		c.NoLocal, c.Options = true, c.Options+s.Trusted()
	})
	return r, s
}

// ticketFor is the body of a request for a ticket for a browser that has come to
// the studio's page.
func ticketFor(t *testing.T, s *harness.Studio, page *harness.Response, user string) []byte {
	t.Helper()
	if !strings.HasPrefix(page.URL.String(), s.Origin+"/sign-in?") {
		t.Fatalf("the browser is at %s (%d), not at the studio", page.URL, page.Status)
	}
	body, err := json.Marshal(map[string]any{"state": page.URL.Query().Get("state"), "user": harness.StudioUsers[user]})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestClass22ATicketIsForWhoSignsTheRequest(t *testing.T) {
	r, s := atStudio(t)
	browser := harness.NewClient(t)
	body := ticketFor(t, s, browser.Open(r.Gate+"/play"), "zoe")
	now := time.Now()
	right := harness.StudioSignature(harness.StudioSecret, body, now)
	for name, c := range map[string]struct {
		body, signature string
		status          int
	}{
		"no signature":          {string(body), "", http.StatusUnauthorized},
		"of another secret":     {string(body), harness.StudioSignature("another-secret-0123456789", body, now), http.StatusUnauthorized},
		"of another body":       {strings.Replace(string(body), `"17"`, `"18"`, 1), right, http.StatusUnauthorized},
		"of two minutes ago":    {string(body), harness.StudioSignature(harness.StudioSecret, body, now.Add(-2*time.Minute)), http.StatusUnauthorized},
		"of two minutes ahead":  {string(body), harness.StudioSignature(harness.StudioSecret, body, now.Add(2*time.Minute)), http.StatusUnauthorized},
		"of nobody in our body": {`{"state":"x"}`, harness.StudioSignature(harness.StudioSecret, []byte(`{"state":"x"}`), now), http.StatusBadRequest},
		"of a body of 65 KiB":   {strings.Repeat(" ", 65<<10), harness.StudioSignature(harness.StudioSecret, []byte(strings.Repeat(" ", 65<<10)), now), http.StatusRequestEntityTooLarge},
	} {
		status, answer, err := s.Ask([]byte(c.body), c.signature)
		if err != nil || status != c.status || answer.Error == "" || answer.Ticket != "" {
			t.Errorf("%s: %d %+v, %v", name, status, answer, err)
		}
	}
	status, answer, err := s.Ask(body, right)
	if err != nil || status != http.StatusOK {
		t.Fatalf("what is right was answered with %d: %v", status, err)
	}
	if status, again, err := s.Ask(body, right); err != nil || status != http.StatusConflict || again.Ticket != "" {
		t.Errorf("the same request again was answered with %d: %+v, %v", status, again, err)
	}
	page := browser.Open(answer.URL)
	if page.Status != http.StatusOK || page.URL.String() != r.Gate+"/play" {
		t.Fatalf("ended at %s with %d:\n%s", page.URL, page.Status, page.Body)
	}
	r.wantAtBackend(t, browser, map[string]string{"X-SSO-User": "zoe", "X-SSO-Email": "zoe@game.example", "X-SSO-Groups": "players"})
}

// ticketLifetime is how long a ticket works.
const ticketLifetime = time.Minute

func TestClass27ATicketThatIsTooOldSignsNobodyIn(t *testing.T) {
	t.Parallel()
	r, s := atStudio(t)
	browser, other := harness.NewClient(t), harness.NewClient(t)
	trade := func(browser *harness.Client) string {
		t.Helper()
		body := ticketFor(t, s, browser.Open(r.Gate+"/"), "zoe")
		status, answer, err := s.Ask(body, harness.StudioSignature(harness.StudioSecret, body, time.Now()))
		if err != nil || status != http.StatusOK {
			t.Fatalf("no ticket: %d, %v", status, err)
		}
		return answer.URL
	}
	old := trade(browser)
	time.Sleep(ticketLifetime + time.Second)
	wantPage(t, browser.Open(old), http.StatusBadGateway, "Signing in was not finished", "The answer from The shop cannot be used.", "Try again")
	wantStatus(t, browser, r.Gate+"/", http.StatusUnauthorized)

	// The page that says so leads to another, which works.
	fresh := trade(other)
	if page := other.Open(fresh); page.Status != http.StatusOK {
		t.Errorf("a ticket of now ended at %s with %d", page.URL, page.Status)
	}
	again := browser.Open(trade(browser))
	if again.Status != http.StatusOK {
		t.Errorf("another attempt ended at %s with %d", again.URL, again.Status)
	}
}

// What an application may ask of a sign-in reaches the studio's page.
func TestANewSignInIsOneAtTheStudio(t *testing.T) {
	r, s := atStudio(t)
	browser := harness.NewClient(t)
	authorize := func(q url.Values) *harness.Response {
		return browser.Open(r.Portal + "/oauth2/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {r.Gate + "/oauth2/callback"}, "state": {"12345678"},
			"scope": {"openid"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}, "prompt": q["prompt"], "login_hint": q["login_hint"],
		}.Encode())
	}
	page := authorize(url.Values{"prompt": {"login"}, "login_hint": {"zoe"}})
	if q := page.URL.Query(); q.Get("prompt") != "login" || q.Get("login_hint") != "zoe" || !strings.HasPrefix(page.URL.String(), s.Origin) {
		t.Fatalf("the browser is at %s (%d)", page.URL, page.Status)
	}
	for _, c := range []struct {
		authTime int64 // 0: none
		status   int
		says     string
	}{
		{0, http.StatusForbidden, "Please sign in again"},
		{time.Now().Add(-time.Hour).Unix(), http.StatusForbidden, "Please sign in again"},
		{time.Now().Unix() + 1, http.StatusOK, ""},
	} {
		page := authorize(url.Values{"prompt": {"login"}})
		told := map[string]any{"state": page.URL.Query().Get("state"), "user": harness.StudioUsers["zoe"]}
		if c.authTime != 0 {
			told["auth_time"] = c.authTime
		}
		body, err := json.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		_, answer, err := s.Ask(body, harness.StudioSignature(harness.StudioSecret, body, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		end := browser.Open(answer.URL)
		if c.status != http.StatusOK {
			wantPage(t, end, c.status, c.says, "The shop did not ask you", "Try again")
			continue
		}
		if !strings.Contains(strings.Join(end.Seen, " "), r.Gate+"/oauth2/callback?") {
			t.Errorf("signing in again ended at %s with %d:\n%s", end.URL, end.Status, end.Body)
		}
	}
}
