package loginapi_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	const (
		state        = "state should have at least 8 characters."
		redirect     = "redirect_uri is not registered for this client."
		audience     = "audience is not registered for this client."
		failAuthURL  = "fail_auth_url is not registered for this client."
		responseType = "response_type should be code."
		pkce         = "code_challenge is missing: a public client has to use PKCE."
		unread       = "scope has control characters or is not UTF-8."
	)
	for _, tt := range []struct {
		name, query string
		status      int
		code        string
		description string // of the first
		details     map[string]string
	}{
		{"nothing at all", "", 400, "0", "client_id is missing.", map[string]string{
			"client_id": "client_id is missing.", "redirect_uri": "redirect_uri is missing.", "response_type": "response_type is missing.",
			"state": state, "scope": "scope is missing.", "audience": "audience is missing.",
		}},
		{"a client alone", "client_id=1", 400, "0", "redirect_uri is missing.", map[string]string{
			"redirect_uri": "redirect_uri is missing.", "response_type": "response_type is missing.",
			"state": state, "scope": "scope is missing.", "audience": "audience is missing.", "code_challenge": pkce,
		}},
		{
			"nothing that is registered",
			game("redirect_uri", "https://evil.example", "audience", "game other", "fail_auth_url", "https://evil.example", "response_type", "token").Encode(), 400, "0", redirect,
			map[string]string{"redirect_uri": redirect, "audience": audience, "fail_auth_url": failAuthURL, "response_type": responseType},
		},
		{"a state, and what comes after it", game("state", "short", "audience", "other").Encode(), 400, "010-022", state, map[string]string{"state": state, "audience": audience}},
		{
			"no such client, and what is wrong for every client", game("client_id", "99", "state", "-", "audience", "other").Encode(), 404, "003-061", "Object not found.",
			map[string]string{"state": state},
		},
		{
			"what cannot be read, and the rest", game("audience", "other", "scope", "-").Encode() + "&scope=%ff&popup=yes", 400, "0", unread,
			map[string]string{"scope": unread, "popup": "popup should be true or false.", "audience": audience},
		},
		{
			"a challenge and its method", game("code_challenge", "abc", "code_challenge_method", "plain").Encode(), 400, "0", "code_challenge_method should be S256.",
			map[string]string{"code_challenge": "code_challenge should be the base64url of a SHA-256 digest.", "code_challenge_method": "code_challenge_method should be S256."},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.Get(authPath+"?"+tt.query, cookie)
			wantDetails(t, a, tt.status, tt.code, tt.description, tt.details)
			for _, registered := range []string{callback, "api.example", "fail.example", "signed-out"} {
				if strings.Contains(a.Body, registered) {
					t.Errorf("it tells what is registered: %s", a.Body)
				}
			}
		})
	}
}

func TestWhatIsWrongWithABodyIsSaidWithWhatIsWrongWithTheQuery(t *testing.T) {
	w := newWorld(t)
	const (
		state    = "state should have at least 8 characters."
		password = "password is missing."
	)
	query := game("state", "short")
	wantDetails(t, w.login(loginPath, query, `{"username":"ada"}`), 400, "010-022", state, map[string]string{"state": state, "password": password})
	wantDetails(t, w.login(loginPath, query, `{`), 400, "010-022", state, map[string]string{"state": state})
	wantDetails(t, w.login(loginPath, game(), `{"username":"ada"}`), 400, "0", password, map[string]string{"password": password})
}

func TestTheLogNamesWhatIsNotRegisteredAndWhatIs(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		query      url.Values
		parameter  string
		value      string
		registered string // among others
	}{
		{game("audience", "https://app.example/"), "audience", "https://app.example/", "game"},
		{game("redirect_uri", "https://game.example/cb/"), "redirect_uri", "https://game.example/cb/", callback},
		{game("redirect_uri", callback+"?token=secret"), "redirect_uri", callback + "?…", callback},
		{game("fail_auth_url", "https://evil.example"), "fail_auth_url", "https://evil.example", "https://fail.example"},
		{game("audience", strings.Repeat("a", 1000)), "audience", "(unprintable)", "game"},
	} {
		for _, path := range []string{authPath, "/api/oauth2/sso", "/api/oauth2/social/acme/login_url"} {
			w.Audit.TakeAll()
			w.Get(path+"?"+tt.query.Encode(), "")
			lines := w.Audit.FilterMessage(string(oauth.RequestRefused)).All()
			if len(lines) != 1 {
				t.Fatalf("%s, %s: %d lines", path, tt.parameter, len(lines))
			}
			line := lines[0].ContextMap()
			registered, _ := line["registered"].([]any)
			if line["parameter"] != tt.parameter || line["value"] != tt.value || line["client"] != "1" || line["from"] != "192.0.2.1" || !slices.Contains(registered, any(tt.registered)) {
				t.Errorf("%s: the log says %v", path, line)
			}
		}
	}
	w.Audit.TakeAll()
	if w.Get(authPath+"?"+game().Encode(), ""); w.Audit.Len() != 0 {
		t.Errorf("of a request that is right the log says %v", w.Audit.All())
	}
}

func TestDefaultAudienceTakesTheFirstWhereNoneIsSent(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	client, _ := w.Server.Clients.Get("1")
	for _, audience := range []string{"-", "", " "} {
		wantError(t, w.Get(authPath+"?"+game("audience", audience).Encode(), cookie), 400, "0", "audience is missing.")
	}
	client.DefaultAudience = true
	for _, audience := range []string{"-", "", " "} {
		claims := w.accessToken(w.token(redemption(w.code(cookie, game("audience", audience)))), keys.RS256)
		if !slices.Equal(claims.Audience, []string{"game"}) {
			t.Errorf("audience %q: aud is %q", audience, claims.Audience)
		}
	}
	wantError(t, w.Get(authPath+"?"+game("audience", "server").Encode(), cookie), 400, "0", "audience is not registered for this client.")
}

func TestClass09AStateWithASemicolonIsTakenAsItIs(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	a := w.Get(authPath+"?"+game("state", "-").Encode()+"&state=12345678;client_id=2", cookie)
	if a.Status != http.StatusFound || !strings.HasSuffix(a.Location(), "&state=12345678%3Bclient_id%3D2") {
		t.Errorf("%d %s %s", a.Status, a.Location(), a.Body)
	}
}

func TestOptionalParametersAreNotSaidToBeMissing(t *testing.T) {
	w := newWorld(t)
	a := w.Get("/api/oauth2/sso", "")
	wantDetails(t, a, 400, "0", "client_id is missing.", map[string]string{
		"client_id": "client_id is missing.", "response_type": "response_type is missing.", "state": "state should have at least 8 characters.",
	})
}

func TestTheTokenEndpointSaysAllThatIsMissing(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		form    url.Values
		missing []string // in the order of today
	}{
		{url.Values{}, []string{"client_id", "grant_type"}},
		{url.Values{"grant_type": {"authorization_code"}}, []string{"client_id", "code", "redirect_uri"}},
		{url.Values{"grant_type": {"authorization_code"}, "client_id": {"1"}}, []string{"code", "redirect_uri"}},
		{url.Values{"grant_type": {"refresh_token"}}, []string{"client_id", "refresh_token"}},
	} {
		details := map[string]string{}
		for _, name := range tt.missing {
			details[name] = name + " is missing."
		}
		wantDetails(t, w.token(tt.form), 400, "0", tt.missing[0]+" is missing.", details)
	}
	a := w.Send(http.MethodPost, "/api/oauth2/login?"+game().Encode(), "{}", "Content-Type", "application/json")
	wantDetails(t, a, 400, "0", "username is missing.", map[string]string{"username": "username is missing.", "password": "password is missing."})
}
