package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// asking are clients of other people, whose users are asked.
const asking = `
	client 7 {
		name "The <third> party"
		public
		redirect_uri https://third.example/cb third-app:/cb
		scope email profile offline inventory
		scope_text inventory "trade the items in your inventory"
		consent first
		token_alg ES256
	}
	client 8 {
		name Careful
		public
		redirect_uri https://careful.example/cb
		scope email
		consent always
		token_alg ES256
	}
	client 9 {
		name Own
		public
		redirect_uri https://own.example/cb
		scope email
		token_alg ES256
	}`

const (
	loginDoor  = "/api/oauth2/auth"
	openIDDoor = "/oauth2/authorize"
)

var callbacks = map[string]string{"7": "https://third.example/cb", "8": "https://careful.example/cb", "9": "https://own.example/cb"}

// asks is the address of an authorization request of a client; more are names and
// values that replace those of it, "-" leaves one out.
func (w *world) asks(door, client, scope string, more ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callbacks[client]}, "scope": {scope}, "state": {"a state+1"},
		"audience": {client}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "http://" + w.portal + door + "?" + q.Encode()
}

// walk goes where a browser goes by itself, and ends at a page of the portal, or
// before it leaves: then outside is where to.
func (v *visitor) walk(address string) (at answered, outside *url.URL) {
	v.t.Helper()
	for range 20 {
		u, err := url.Parse(address)
		if err != nil {
			v.t.Fatal(err)
		}
		if u.Host != v.portal {
			return at, u
		}
		at = v.getOnce(address)
		next, onward := at.Header.Get("Location"), refresh.FindStringSubmatch(at.body)
		if next == "" && onward == nil {
			return at, nil
		}
		if next == "" {
			next = html.UnescapeString(onward[1])
		}
		if u, err = at.Request.URL.Parse(next); err != nil {
			v.t.Fatal(err)
		}
		address = u.String()
	}
	v.t.Fatal("in circles")
	return at, nil
}

// decide answers a consent page, and walks on. Fields replace those of the form.
func (v *visitor) decide(page answered, decision string, fields ...string) (at answered, outside *url.URL) {
	v.t.Helper()
	answer := v.answer(page, decision, fields...)
	next, onward := answer.Header.Get("Location"), refresh.FindStringSubmatch(answer.body)
	switch {
	case onward != nil:
		next = html.UnescapeString(onward[1])
	case next == "":
		return answer, nil
	}
	return v.walk(v.resolve(answer, next))
}

// answer answers a consent page.
func (v *visitor) answer(page answered, decision string, fields ...string) answered {
	v.t.Helper()
	action := formAction.FindStringSubmatch(page.body)
	if action == nil || !strings.Contains(page.body, `name="decision"`) {
		v.t.Fatalf("no consent page, but %s:\n%s", page.Status, page.body)
	}
	form := url.Values{"decision": {decision}}
	for _, hidden := range formHidden.FindAllStringSubmatch(page.body, -1) {
		form.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	once := *v.Client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return (&visitor{v.world, &once}).send(v.request(http.MethodPost, v.resolve(page, action[1]), form.Encode()))
}

// consentPage walks to an address and wants the consent page there.
func (v *visitor) consentPage(address string) answered {
	v.t.Helper()
	page, outside := v.walk(address)
	if outside != nil || !strings.Contains(page.body, `name="decision"`) {
		v.t.Fatalf("no consent page, but %v, %s:\n%s", outside, page.Status, page.body)
	}
	return page
}

// wantCode wants a browser to have come to a callback with a code.
func wantCode(t *testing.T, at answered, outside *url.URL) {
	t.Helper()
	if outside == nil || outside.Query().Get("code") == "" || outside.Query().Get("state") != "a state+1" {
		t.Fatalf("no code, but %v, %v:\n%s", outside, at.Response, at.body)
	}
}

// wantNoCode wants that none was given.
func wantNoCode(t *testing.T, outside *url.URL) {
	t.Helper()
	if outside != nil {
		t.Errorf("the browser was sent to %s", outside)
	}
}

var inTags = regexp.MustCompile(`<[^>]*>`)

// reads is the text of a page.
func reads(page answered) string {
	return strings.Join(strings.Fields(html.UnescapeString(inTags.ReplaceAllString(page.body, " "))), " ")
}

func TestAnApplicationGetsNoCodeBeforeItsUserAllowsWhatItAsksFor(t *testing.T) {
	for _, door := range []string{loginDoor, openIDDoor} {
		t.Run(door, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{global: asking})
			v := w.visitor()
			page, _ := v.walk(w.asks(door, "7", "email inventory"))
			page, outside := v.walkAfter(v.submitOnly(page, "demo", "demo"))
			wantNoCode(t, outside)
			text := reads(page)
			for _, want := range []string{
				"Allow The <third> party ?", "asks for access to your account", "demo@example.com", "see your e-mail address",
				"trade the items in your inventory", "Allow Cancel", "you go on to third.example", "Use another account",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not on the page: %s", want, text)
				}
			}
			if page.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(page.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("headers %v", page.Header)
			}
			at, outside := v.decide(page, "allow")
			wantCode(t, at, outside)

			// Once for each scope. With a new one the page shows all.
			at, outside = v.walk(w.asks(door, "7", "inventory"))
			wantCode(t, at, outside)
			page = v.consentPage(w.asks(door, "7", "email offline"))
			if text := reads(page); !strings.Contains(text, "see your e-mail address stay signed in when you are away new") {
				t.Errorf("the page says %s", text)
			}
			wantCode(t, page, second(v.decide(page, "allow")))
			wantCode(t, page, second(v.walk(w.asks(door, "7", "email offline inventory"))))

			// Another user is asked, and so is the user of another client, each time.
			for range 2 {
				wantCode(t, page, second(v.decide(v.consentPage(w.asks(door, "8", "email")), "allow")))
			}
			wantCode(t, page, second(v.walk(w.asks(door, "9", "email"))))
		})
	}
}

func second(_ answered, outside *url.URL) *url.URL { return outside }

// submitOnly fills in the sign-in page, and returns what leads on.
func (v *visitor) submitOnly(page answered, name, password string) answered {
	v.t.Helper()
	form := url.Values{"username": {name}, "password": {password}}
	for _, hidden := range formHidden.FindAllStringSubmatch(page.body, -1) {
		form.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
	}
	return v.send(v.request(http.MethodPost, v.resolve(page, formAction.FindStringSubmatch(page.body)[1]), form.Encode()))
}

// walkAfter walks on from a page that leads on.
func (v *visitor) walkAfter(page answered) (answered, *url.URL) {
	v.t.Helper()
	onward := refresh.FindStringSubmatch(page.body)
	if onward == nil {
		v.t.Fatalf("the page does not lead on: %s", page.body)
	}
	return v.walk(v.resolve(page, onward[1]))
}

// allowing is a browser in which demo is signed in.
func (w *world) allowing() *visitor {
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	return v
}

func TestAClientThatCannotShowAPageIsToldThatConsentIsMissing(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: asking})
	v := w.allowing()
	silent := func(client, wanted string) {
		t.Helper()
		_, outside := v.walk(w.asks(openIDDoor, client, "openid email", "prompt", "none"))
		if outside == nil || outside.Query().Get("error") != wanted || outside.Query().Get("state") != "a state+1" || wanted == "" && outside.Query().Get("code") == "" {
			t.Errorf("client %s: %v", client, outside)
		}
	}
	script := func(client string, status int, code string) {
		t.Helper()
		got := v.getScript(strings.TrimPrefix(w.asks("/api/oauth2/sso", client, "email"), "http://"+w.portal))
		if got.StatusCode != status || !strings.Contains(got.body, code) {
			t.Errorf("client %s: %s: %s", client, got.Status, got.body)
		}
	}
	silent("7", "consent_required")
	silent("8", "consent_required")
	silent("9", "")
	script("7", http.StatusUnauthorized, `"003-040"`)
	wantCode(t, answered{}, second(v.decide(v.consentPage(w.asks(openIDDoor, "7", "openid email")), "allow")))
	silent("7", "")
	script("7", http.StatusOK, "code=")
	wantCode(t, answered{}, second(v.decide(v.consentPage(w.asks(openIDDoor, "8", "openid email")), "allow")))
	silent("8", "consent_required")
}

// OpenID Connect Core section 3.1.2.1.
func TestPromptConsentShowsThePageInAnyCase(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: asking})
	v := w.allowing()
	for _, client := range []string{"7", "9"} {
		for _, prompt := range []string{"consent", "consent", "select_account consent"} {
			ask := w.asks(openIDDoor, client, "openid email", "prompt", prompt)
			if prompt != "consent" {
				page, _ := v.walk(ask)
				ask = buttonOf(t, page, "/oauth2/authorize")
			}
			wantCode(t, answered{}, second(v.decide(v.consentPage(ask), "allow")))
		}
		wantCode(t, answered{}, second(v.walk(w.asks(openIDDoor, client, "openid email"))))
	}
	page, _ := v.walk(w.asks(openIDDoor, "9", "openid", "prompt", "login consent"))
	page, outside := v.walkAfter(v.submitOnly(page, "demo", "demo"))
	wantNoCode(t, outside)
	wantCode(t, page, second(v.decide(page, "allow")))
}

func TestWhoSaysNoIsLedBackWithThatAnswer(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: asking})
	v := w.allowing()
	wants := func(what string, u *url.URL, parameters string) {
		t.Helper()
		if u == nil || !strings.HasSuffix(u.String(), parameters) {
			t.Errorf("%s: %v", what, u)
		}
	}
	deny := func(address string) *url.URL {
		t.Helper()
		return second(v.decide(v.consentPage(address), "deny"))
	}
	const notAllowed = "error_description=The%20user%20did%20not%20allow%20it.&state=a%20state%2B1"
	wants("the Login API", deny(w.asks(loginDoor, "7", "email")), "https://third.example/cb?error=access_denied&error_code=010-026&"+notAllowed)
	iss := "&iss=" + url.QueryEscape("http://"+w.portal)
	wants("OpenID Connect", deny(w.asks(openIDDoor, "7", "openid")), "https://third.example/cb?error=access_denied&"+notAllowed+iss)
	wants("an application", deny(w.asks(openIDDoor, "7", "openid", "redirect_uri", "third-app:/cb")), "third-app:/cb?error=access_denied&"+notAllowed+iss)

	// What is left in the browser does not look like a yes.
	for _, door := range []string{loginDoor, openIDDoor} {
		at := v.answer(v.consentPage(w.asks(door, "7", "email", "redirect_uri", "third-app:/cb")), "deny")
		if !strings.Contains(at.body, `class="sign stop"`) || !strings.Contains(reads(at), "Return to The <third> party") {
			t.Errorf("%s: %s", door, at.body)
		}
	}

	posted := v.answer(v.consentPage(w.asks(openIDDoor, "7", "openid", "response_mode", "form_post")), "deny")
	for _, want := range []string{`action="https://third.example/cb"`, `name="error" value="access_denied"`, `name="state" value="a state&#43;1"`} {
		if !strings.Contains(posted.body, want) {
			t.Errorf("the form has no %s: %s", want, posted.body)
		}
	}

	// In a window of its own the opener hears of it, and the callback, too.
	for _, more := range [][]string{{"popup", "true"}, {"popup", "true", "enable_post_message_login", "true"}} {
		address := w.asks(loginDoor, "7", "email", more...)
		at, outside := v.decide(v.consentPage(address), "deny")
		wantNoCode(t, outside)
		closes := strings.Contains(at.body, " data-closes")
		if !strings.Contains(at.body, `data-code="010-026" data-description="You did not allow it"`) || closes != (len(more) > 2) ||
			!strings.Contains(at.body, `data-callback="https://third.example/cb?error=access_denied&amp;error_code=010-026&amp;`) {
			t.Errorf("%v: %s", more, at.body)
		}
		if at = v.consentPage(address); !strings.Contains(at.body, `data-opener="https://third.example"`) {
			t.Errorf("the opener is told nothing: %s", at.body)
		}
		at, _ = v.decide(at, "allow")
		if text := reads(at); !strings.Contains(text, "The <third> party is able to see your e-mail address") {
			t.Errorf("the widget page does not say what was granted: %s", text)
		}
		v.answer(v.openSessions(), "", "withdraw", "7")
	}

	// A no is not remembered, and no yes either.
	v.consentPage(w.asks(loginDoor, "7", "email"))
}

// openSessions is the page of one's sessions, as if it were a consent page.
func (v *visitor) openSessions() answered {
	v.t.Helper()
	page := v.get("http://" + v.portal + "/sso/sessions")
	page.body += `name="decision"`
	return page
}

func TestAClientThatAsksSignsInByTheJSONAPIAtTheConsentPage(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: asking})
	v := w.visitor()
	path := strings.TrimPrefix(w.asks("/api/oauth2/login", "7", "email"), "http://"+w.portal)
	for name, query := range map[string]string{
		"all parameters":                 path,
		"those that may be left out are": regexp.MustCompile(`&?(scope|audience|redirect_uri)=[^&]*`).ReplaceAllString(path, ""),
	} {
		t.Run(name, func(t *testing.T) {
			got := v.api(query, credentials{"demo", "demo"})
			var body struct {
				URL string `json:"login_url"`
			}
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || !strings.HasPrefix(body.URL, "http://"+w.portal+"/api/oauth2/auth?") {
				t.Fatalf("%s: %s", got.Status, got.body)
			}
			page := v.consentPage(body.URL)
			wantCode(t, page, second(v.decide(page, "allow")))
			if got := v.api(query, credentials{"demo", "demo"}); !strings.Contains(got.body, "https://third.example/cb?code=") {
				t.Errorf("once it is allowed: %s: %s", got.Status, got.body)
			}
			v.answer(v.openSessions(), "", "withdraw", "7")
		})
	}
	if got := v.api("/api/oauth2/login/token?client_id=7&scope=email", credentials{"demo", "demo"}); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.body, `"003-020"`) {
		t.Errorf("tokens at once: %s: %s", got.Status, got.body)
	}
}
