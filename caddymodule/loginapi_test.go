package caddymodule

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

const loginClients = `client 2 {
			name Launcher
			public
			redirect_uri https://game.example/cb
			scope email offline
			token_alg HS256
			hs256_key {env.SSO_TEST_HS256_KEY}
			token_lifetime 5m
			claim display "{user.name} plays"
			claim roles {user.groups}
		}`

const hs256Key = "a key of thirty-two bytes or more"

// api posts JSON to the portal.
func (v *visitor) api(path string, body any, headers ...string) answered {
	v.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	r := v.request(http.MethodPost, "http://"+v.portal+path, string(raw))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return v.send(r)
}

type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Expires int    `json:"expires_in"`
}

func (v *visitor) tokens() tokens { return v.tokensOf("demo", "demo") }

func (v *visitor) tokensOf(name, password string) tokens {
	v.t.Helper()
	got := v.api("/api/oauth2/login/token?client_id=2&scope=offline", credentials{name, password})
	var out tokens
	if err := json.Unmarshal([]byte(got.body), &out); err != nil || got.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %s", got.Status, got.body)
	}
	return out
}

func (v *visitor) valid(token string) bool {
	v.t.Helper()
	return v.api("/api/token/validate", map[string]string{"token": token}).StatusCode == http.StatusNoContent
}

func (v *visitor) refresh(token string) answered {
	v.t.Helper()
	return v.send(v.request(http.MethodPost, "http://"+v.portal+"/api/oauth2/token",
		url.Values{"grant_type": {"refresh_token"}, "client_id": {"2"}, "refresh_token": {token}}.Encode()))
}

func TestALauncherSignsInByTheLoginAPI(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	w.mustLoad(setup{global: loginClients})
	v := w.visitor()
	got := v.tokens()
	if got.Expires != 300 || got.Refresh == "" {
		t.Errorf("expires in %d, refresh token %q", got.Expires, got.Refresh)
	}
	signed, signature, _ := cutLast(got.Access, ".")
	mac := hmac.New(sha256.New, []byte(hs256Key))
	mac.Write([]byte(signed))
	if base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) != signature {
		t.Error("a backend that has the key would not take the token")
	}
	_, payload, _ := strings.Cut(signed, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || !strings.Contains(string(raw), `"display":"demo plays"`) || !strings.Contains(string(raw), `"roles":["players"]`) {
		t.Errorf("claims %s: %v", raw, err)
	}
	if !v.valid(got.Access) {
		t.Error("the token does not count")
	}

	// Ended by the operator: the session, and what would outlive it.
	w.ends("/sso/users/demo", 1, 1)
	refreshed := v.refresh(got.Refresh)
	if v.valid(got.Access) || refreshed.StatusCode != http.StatusBadRequest {
		t.Errorf("the tokens live on: %s: %s", refreshed.Status, refreshed.body)
	}
}

func TestClass16EndingASessionAsTheOperatorEndsWhatWasGivenInIt(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	w.mustLoad(setup{global: loginClients})
	thief := w.visitor().tokens()
	id := w.sessions()[0].ID
	v := w.visitor()
	here := v.tokens()
	if got := w.ask(http.MethodDelete, "/sso/sessions/"+id); strings.TrimSpace(got.body) != `{"ended":1,"grants":1}` {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	refreshed := v.refresh(thief.Refresh)
	if v.valid(thief.Access) || refreshed.StatusCode != http.StatusBadRequest {
		t.Errorf("the tokens live on: %s: %s", refreshed.Status, refreshed.body)
	}
	if got := v.refresh(here.Refresh); got.StatusCode != http.StatusOK {
		t.Errorf("those of another session: %s: %s", got.Status, got.body)
	}
}

func TestScopeOfflineOutlivesASignOutThatIsNoneElsewhere(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	w.mustLoad(setup{global: loginClients})
	for name, out := range map[string]func(v *visitor, access string) answered{
		"clear_sso": func(v *visitor, _ string) answered { return v.getScript("/api/oauth2/clear_sso") },
		"logout": func(v *visitor, access string) answered {
			return v.getScript("/api/oauth2/logout?sessions=sso", "Authorization", "Bearer "+access)
		},
	} {
		v := w.visitor()
		got := v.tokens()
		if a := out(v, got.Access); a.StatusCode != http.StatusNoContent || len(w.sessions()) != 0 {
			t.Errorf("%s: %s: %s", name, a.Status, a.body)
		}
		if a := v.refresh(got.Refresh); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: %s", name, a.Status, a.body)
		}
	}
}

// getScript asks the portal as a program does.
func (v *visitor) getScript(path string, headers ...string) answered {
	v.t.Helper()
	r := v.request(http.MethodGet, "http://"+v.portal+path, "")
	r.Header.Set("Accept", "*/*")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return v.send(r)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// A user whose sessions are all over may still have grants.
func TestClass16TheOperatorEndsGrantsThatOutlivedTheirSessions(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	w.mustLoad(setup{global: loginClients})
	v := w.visitor()
	got := v.tokens()
	r := v.request(http.MethodGet, "http://"+w.portal+"/api/oauth2/logout?sessions=sso", "")
	r.Header.Set("Authorization", "Bearer "+got.Access)
	if out := v.send(r); out.StatusCode != http.StatusNoContent || len(w.sessions()) != 0 || !v.valid(got.Access) {
		t.Fatalf("%s: %s", out.Status, out.body)
	}
	printed, err := w.command("user", "end", "DEMO")
	if err != nil || printed != "0 ended\n1 persistent grants ended\n" {
		t.Errorf("%q, %v", printed, err)
	}
	if v.valid(got.Access) {
		t.Error("the token lives on")
	}
}

func TestClass18TheLoginAPIAndThePageHaveOneCount(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	w.mustLoad(setup{global: loginClients})
	const path = "/api/oauth2/login/token?client_id=2&scope=offline"
	for i := range 5 {
		if got := w.visitor().api(path, credentials{"demo", fmt.Sprint(i)}); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.body, `"003-001"`) {
			t.Fatalf("%s: %s", got.Status, got.body)
		}
	}
	got := w.visitor().api(path, credentials{"DEMO", "demo"})
	seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.StatusCode != http.StatusTooManyRequests || !strings.Contains(got.body, `"002-057"`) || err != nil || seconds < 1 || seconds > 180 {
		t.Errorf("%s, Retry-After %q: %s", got.Status, got.Header.Get("Retry-After"), got.body)
	}
	v := w.visitor()
	if got := v.submit(v.get("http://"+w.site+"/"), "demo", "demo"); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the page: %s", got.Status)
	}
}

func TestALauncherSendsTheBrowserToAProvider(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	nobody := freeAddr(t)
	w.mustLoad(setup{global: loginClients + `
		signin oidc acme {
			issuer http://` + nobody + `
			client_id sso
		}`})
	v := w.visitor()
	query := "?client_id=2&response_type=code&state=xsollatest&scope=offline&code_challenge=" + strings.Repeat("A", 43) + "&code_challenge_method=S256"
	got := v.get("http://" + w.portal + "/api/oauth2/social/acme/login_url" + query)
	var body struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || !strings.HasPrefix(body.URL, "http://"+w.portal+"/api/oauth2/social/acme/login_redirect?") {
		t.Fatalf("%s: %s", got.Status, got.body)
	}
	if got := v.getOnce(body.URL); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.body, `"010-015"`) || got.Header.Get("Retry-After") == "" {
		t.Errorf("a provider that does not answer: %s: %s", got.Status, got.body)
	}
	if got := v.get("http://" + w.portal + "/api/oauth2/social/local/login_url" + query); got.StatusCode != http.StatusNotFound || !strings.Contains(got.body, `"003-061"`) {
		t.Errorf("a method that is no provider: %s: %s", got.Status, got.body)
	}
}

func TestAClientsTokenSettingsAreHeldToWhatWorks(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", "too short")
	for name, c := range map[string]struct{ from, to, want string }{
		"a key that is too short":        {"", "", "client 2: hs256_key has 9 bytes; expected at least 32"},
		"no key":                         {"hs256_key {env.SSO_TEST_HS256_KEY}", "", "client 2: token_alg HS256 takes an hs256_key"},
		"a key that nothing uses":        {"token_alg HS256", "token_alg ES256", "client 2: hs256_key is for token_alg HS256, and token_alg is ES256"},
		"a key that is not set":          {"SSO_TEST_HS256_KEY", "THERE_IS_NO_SUCH_VARIABLE", "hs256_key"},
		"a lifetime that is too long":    {"token_lifetime 5m", "token_lifetime 25h", "token_lifetime 25h0m0s: expected at most 24h0m0s"},
		"a claim that is taken":          {"claim roles", "claim groups", "claim groups: the name is taken"},
		"a claim that is taken, in case": {"claim roles", "claim SUB", "claim SUB: the name is taken"},
		"a placeholder that is none":     {`"{user.name} plays"`, `"{user.password}"`, "claim display: {user.password} is no placeholder for a text"},
		"groups within a text":           {"claim roles {user.groups}", `claim roles "in {user.groups}"`, "{user.groups} alone, which is a list"},
		"a claim without a value":        {"claim roles {user.groups}", "claim roles", "claim: expected a name and a value"},
		"a claim twice":                  {"claim roles {user.groups}", "claim display x", "duplicate option: claim display"},
		"a lifetime of refresh tokens":   {"token_lifetime 5m", "refresh_lifetime 400d", "refresh_lifetime 9600h0m0s: expected at most"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			config, err := adapt(w.caddyfile(setup{global: strings.Replace(loginClients, c.from, c.to, 1)}))
			if err == nil {
				err = validate(config)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "too short") {
				t.Errorf("the key is in the error: %v", err)
			}
		})
	}
}
