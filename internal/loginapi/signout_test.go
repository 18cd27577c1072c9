package loginapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

const (
	badToken     = "The token is invalid, expired or was revoked."
	foreignToken = "The token is not for this use."
	notRevocable = "A token without a user, or one that was exchanged for another client's, cannot be revoked; it expires by itself."
)

// tokens are an access and a refresh token of client 1 for a session.
func (w *world) tokens(cookie, scope string) (access, refresh string) {
	w.T.Helper()
	return w.access(w.token(redemption(w.code(cookie, game("scope", scope)))))
}

func (w *world) access(a answer) (access, refresh string) {
	w.T.Helper()
	var body struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusOK {
		w.T.Fatalf("no tokens: %d %s", a.Status, a.Body)
	}
	return body.Access, body.Refresh
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func (w *world) validate(token string) answer {
	w.T.Helper()
	body, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		w.T.Fatal(err)
	}
	return w.Send(http.MethodPost, "/api/token/validate", string(body), "Content-Type", "application/json")
}

// wantValid says which tokens count.
func (w *world) wantValid(want bool, tokens ...string) {
	w.T.Helper()
	for i, token := range tokens {
		a := w.validate(token)
		if want && (a.Status != http.StatusNoContent || a.Body != "") {
			w.T.Errorf("token %d: %d %s", i, a.Status, a.Body)
		}
		if !want {
			wantError(w.T, a, 401, "002-016", badToken)
		}
	}
}

func TestLogoutOfTheSessionEndsWhatHangsOnIt(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	other, _ := w.signIn(ada)
	mine, _ := w.tokens(cookie, "email")
	persistent, refresh := w.tokens(cookie, "offline")
	elsewhere, _ := w.tokens(other, "email")
	a := w.Send(http.MethodGet, "/api//oauth2/logout?sessions=sso", "", bearer(mine)...)
	if a.Status != http.StatusNoContent || a.Body != "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	w.wantValid(false, mine)
	w.wantValid(true, persistent, elsewhere)
	w.refreshToken(w.token(refreshing(refresh)))
	if a := w.Get("/api/oauth2/sso?"+game().Encode(), cookie); a.Status != http.StatusUnauthorized {
		t.Errorf("the session still lives: %d", a.Status)
	}
	// Once more, by a token that has outlived the session.
	if a := w.Send(http.MethodGet, "/api/oauth2/logout?sessions=sso", "", bearer(persistent)...); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestATokenCountsAsItWasSpelledAlone(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	token, _ := w.tokens(cookie, "email")
	for _, token := range []string{token, w.legacy(ada, "email")} {
		w.wantValid(true, token)
		w.wantValid(false, token+"\n", "\n"+token, token[:30]+"\r\n"+token[30:], strings.ReplaceAll(token, ".", "\n."), token+"=")
	}
}

func TestClass16LogoutOfAllEndsEverySessionAndToken(t *testing.T) {
	w := newWorld(t)
	one, _ := w.signIn(ada)
	two, _ := w.signIn(ada)
	bob := session.User{Subject: "2f0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "bob", Signin: "local"}
	bobs, _ := w.signIn(bob)
	first, _ := w.tokens(one, "email")
	persistent, refresh := w.tokens(two, "offline")
	his, _ := w.tokens(bobs, "offline")
	unspent := w.code(one, game("scope", "offline"))
	if a := w.Send(http.MethodGet, "/api/oauth2/logout?sessions=all", "", bearer(first)...); a.Status != http.StatusNoContent {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	w.wantValid(false, first, persistent)
	w.wantValid(true, his)
	wantError(t, w.token(refreshing(refresh)), 400, "010-023", badRefresh)
	if a := w.token(redemption(unspent)); a.Status != http.StatusBadRequest {
		t.Errorf("a code that was waiting: %d %s", a.Status, a.Body)
	}
	for _, cookie := range []string{one, two} {
		if a := w.Get("/api/oauth2/sso?"+game().Encode(), cookie); a.Status != http.StatusUnauthorized {
			t.Errorf("a session still lives: %d", a.Status)
		}
	}
}

func TestLogoutRefusesWithTheErrorsOfTheReference(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	live, _ := w.tokens(cookie, "email")
	own, _ := w.access(w.token(clientGrant()))
	const sessions = "sessions in query should be one of [sso all]"
	for _, tt := range []struct {
		name, query   string
		headers       []string
		status        int
		code          string
		description   string
		authenticated string
	}{
		{"another value", "sessions=some", bearer(live), 400, "0", sessions, ""},
		{"an empty value", "sessions=", bearer(live), 400, "0", sessions, ""},
		{"no value", "", bearer(live), 400, "0", sessions, ""},
		{"two values", "sessions=sso&sessions=all", bearer(live), 400, "0", "sessions is there more than once, with different values.", ""},
		{"no token", "sessions=all", nil, 401, "003-040", unauthorized, `Bearer realm="sso"`},
		{"another scheme", "sessions=all", []string{"Authorization", basic("1", live)}, 401, "003-040", unauthorized, `Bearer realm="sso"`},
		{"an empty token", "sessions=all", bearer(""), 401, "003-040", unauthorized, `Bearer realm="sso"`},
		{"two tokens", "sessions=all", append(bearer(live), bearer(live)...), 401, "003-040", unauthorized, `Bearer realm="sso"`},
		{"a token that is none", "sessions=all", bearer("x"), 401, "002-016", badToken, `Bearer error="invalid_token"`},
		{"a cookie in its place", "sessions=all", []string{"Cookie", cookie}, 401, "003-040", unauthorized, `Bearer realm="sso"`},
		{"a token of no user", "sessions=all", bearer(own), 401, "002-016", foreignToken, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.Send(http.MethodGet, "/api/oauth2/logout?"+tt.query, "", tt.headers...)
			wantError(t, a, tt.status, tt.code, tt.description)
			wantHeaders(t, a, "Www-Authenticate", tt.authenticated)
		})
	}
	w.wantValid(true, live)
}

const unauthorized = "Unauthorized user: the Authorization header should be Bearer and an access token."

func revoking(token string, changes ...string) url.Values {
	return changed(url.Values{"client_id": {"1"}, "token": {token}}, changes)
}

func (w *world) revoke(form url.Values, headers ...string) answer {
	w.T.Helper()
	return w.Send(http.MethodPost, "/api/oauth2/token/revoke", form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

func TestClass16RevocationEndsTheGrant(t *testing.T) {
	for name, which := range map[string]func(access, refresh string) url.Values{
		"by the access token":    func(access, _ string) url.Values { return revoking(access) },
		"by the refresh token":   func(_, refresh string) url.Values { return revoking(refresh) },
		"with a hint":            func(_, refresh string) url.Values { return revoking(refresh, "token_type_hint", "refresh_token") },
		"with a hint that fails": func(access, _ string) url.Values { return revoking(access, "token_type_hint", "refresh_token") },
		"with an unknown hint":   func(access, _ string) url.Values { return revoking(access, "token_type_hint", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(ada)
			access, refresh := w.tokens(cookie, "offline")
			other, _ := w.tokens(cookie, "email")
			a := w.revoke(which(access, refresh))
			if a.Status != http.StatusOK || a.Body != "" {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			w.wantValid(false, access)
			w.wantValid(true, other) // another grant
			wantError(t, w.token(refreshing(refresh)), 400, "010-023", badRefresh)
			if again := w.revoke(which(access, refresh)); again.Status != http.StatusOK {
				t.Errorf("once more: %d %s", again.Status, again.Body)
			}
		})
	}
}

func TestRevocationWithoutScopeOfflineIsRefusedEverywhereAtOnce(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, _ := w.tokens(cookie, "email")
	if a := w.revoke(revoking(access)); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	w.wantValid(false, access)
	wantError(t, w.Send(http.MethodGet, "/api/users/me", "", bearer(access)...), 401, "002-016", badToken)
	if a := w.Get("/api/oauth2/sso?"+game().Encode(), cookie); a.Status != http.StatusOK {
		t.Errorf("the session ended, too: %d", a.Status)
	}
}

func TestWhatCannotBeRevoked(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, refresh := w.tokens(cookie, "offline")
	expired, _ := w.tokens(cookie, "offline email")
	own, _ := w.access(w.token(clientGrant()))
	server := []string{"client_id", "2", "client_secret", secret}
	for _, tt := range []struct {
		name        string
		form        url.Values
		status      int
		code        string
		description string
	}{
		{"what is no token", revoking("x"), 200, "", ""},
		{"Class14 another client's refresh token", revoking(refresh, server...), 400, "010-023", "The token was issued to another client."},
		{"Class14 another client's access token", revoking(access, server...), 400, "010-023", "The token was issued to another client."},
		{"a client's own token", revoking(own, server...), 400, "0", notRevocable},
		{"no token", revoking(""), 400, "0", "token is missing."},
		{"no client", revoking(access, "client_id", "-"), 400, "0", "client_id is missing."},
		{"an unknown client", revoking(access, "client_id", "99"), 400, "010-019", "Client authentication failed."},
		{"a wrong secret", revoking(access, "client_id", "2", "client_secret", "x"), 400, "010-019", "Client authentication failed."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.revoke(tt.form)
			if tt.status == http.StatusOK {
				if a.Status != http.StatusOK || a.Body != "" {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				return
			}
			wantError(t, a, tt.status, tt.code, tt.description)
		})
	}
	w.wantValid(true, access, own)
	w.Clock.Advance(oauth.TokenLifetime)
	if a := w.revoke(revoking(expired)); a.Status != http.StatusOK {
		t.Errorf("an expired token: %d %s", a.Status, a.Body)
	}
	w.refreshToken(w.token(refreshing(refresh)))
}

func TestAUserWhoIsGoneCanBeRevokedAndDoesNotComeBack(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, _ := w.tokens(cookie, "email")
	w.People.Remove(ada)
	if a := w.revoke(revoking(access)); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	w.People.Restore(ada)
	w.wantValid(false, access)
}

func TestValidateTakesWhatCounts(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, refresh := w.tokens(cookie, "email offline")
	own, _ := w.access(w.token(clientGrant()))
	w.wantValid(true, access, own)
	w.wantValid(false, refresh, "x", access[:len(access)-4]+"AAAA", "eyJhbGciOiJub25lIn0.e30.")
	send := func(body string) answer {
		return w.Send(http.MethodPost, "/api/token/validate", body, "Content-Type", "application/json; charset=utf-8")
	}
	wantError(t, send(`{}`), 400, "0", "token is missing.")
	wantError(t, send(`{"token":{}}`), 400, "0", "token should be a string.")
	wantError(t, send(`{"token":"a","token":"b"}`), 400, "0", badJSON)
	wantError(t, w.Send(http.MethodPost, "/api/token/validate", "token="+access, "Content-Type", form), 400, "0", "The body should be application/json, in UTF-8.")
	w.Clock.Advance(oauth.TokenLifetime - time.Second)
	w.wantValid(true, access)
	w.Clock.Advance(time.Second)
	w.wantValid(false, access)
}

func TestClass14ADisabledUserIsBannedAtOnce(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, refresh := w.tokens(cookie, "offline")
	w.People.Remove(ada)
	wantError(t, w.validate(access), 401, "002-040", badToken)
	wantError(t, w.Send(http.MethodGet, "/api/users/me", "", bearer(access)...), 401, "002-040", badToken)
	wantError(t, w.Send(http.MethodGet, "/api/oauth2/logout?sessions=all", "", bearer(access)...), 401, "002-040", badToken)
	wantError(t, w.token(refreshing(refresh)), 400, "010-023", badRefresh)
}

func TestMeSaysWhoTheUserIsAsFarAsTheScopesGo(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for scope, email := range map[string]string{"email": ada.Email, "offline": ""} {
		access, _ := w.tokens(cookie, scope)
		a := w.Send(http.MethodGet, "/api/users/me", "", bearer(access)...)
		var body map[string]any
		if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		got, _ := body["email"].(string)
		list, _ := body["groups"].([]any)
		if body["id"] != ada.Subject || body["username"] != "ada" || got != email || len(list) != 2 || list[0].(map[string]any)["is_default"] != true {
			t.Errorf("scope %s: %s", scope, a.Body)
		}
	}
	own, _ := w.access(w.token(clientGrant()))
	wantError(t, w.Send(http.MethodGet, "/api/users/me", "", bearer(own)...), 403, "1901-0001", "Invalid token: it is of no user.")
	wantError(t, w.Send(http.MethodGet, "/api/users/me", ""), 401, "003-040", unauthorized)
}

func TestAnActivationTokenIsForNoEndpointOfThisAPI(t *testing.T) {
	w := newWorld(t)
	_, s := w.signIn(ada)
	client, _ := w.Server.Clients.Get("1")
	account := &oauth.CustomerAccount{Code: "a", Methods: []string{ada.Signin}}
	product := &oauth.Product{
		Code: "p", Client: client, RedirectURIs: client.RedirectURIs, ResponseTypes: []string{oauth.LicenseToken}, Accounts: []string{"a"},
	}
	licenses, err := oauth.NewLicenses([]*oauth.Product{product}, []*oauth.CustomerAccount{account}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	w.Server.Licenses = licenses
	tokens, refusal := w.Server.IssueTokens(t.Context(), &oauth.Authorization{
		Client: client, Audience: []string{"game"}, Scopes: []string{"email"},
		License: &oauth.LicenseRequest{Product: product, Account: account},
	}, oauth.SignedIn{Session: s, User: ada}, "")
	if refusal != nil {
		t.Fatal(refusal)
	}
	wantError(t, w.validate(tokens.Access), 401, "002-016", foreignToken)
	wantError(t, w.Send(http.MethodGet, "/api/users/me", "", bearer(tokens.Access)...), 401, "002-016", foreignToken)
	wantError(t, w.Send(http.MethodGet, "/api/oauth2/logout?sessions=all", "", bearer(tokens.Access)...), 401, "002-016", foreignToken)
}

func TestAStoreThatIsDownIsATeapotAndSaysNothingOfTheToken(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, refresh := w.tokens(cookie, "offline")
	w.Store.Down(true)
	for name, a := range map[string]answer{
		"validate":               w.validate(access),
		"me":                     w.Send(http.MethodGet, "/api/users/me", "", bearer(access)...),
		"logout":                 w.Send(http.MethodGet, "/api/oauth2/logout?sessions=all", "", bearer(access)...),
		"revoke":                 w.revoke(revoking(access)),
		"revoke a refresh token": w.revoke(revoking(refresh)),
		"refresh":                w.token(refreshing(refresh)),
		"exchange":               w.token(exchanging(access)),
		"login":                  w.login(loginPath, game(), right),
	} {
		t.Run(name, func(t *testing.T) { wantError(t, a, 418, "004-001", "Something went wrong.") })
	}
	w.Store.Down(false)
	w.wantValid(true, access)
	w.refreshToken(w.token(refreshing(refresh)))
}

func TestATokenOfAKeyThatIsNotThereHasNothingVerifiedAgain(t *testing.T) {
	w := newWorld(t)
	w.Server.Keys = keys.NewRing(keystest.NewVault(), keys.Options{Algorithms: []keys.Algorithm{keys.ES256}, Now: w.Clock.Now})
	if err := w.Server.Keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := w.Server.Keys.Version()
	for range 2 {
		w.Clock.Advance(time.Minute)
		w.wantValid(false, "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.AAAA")
	}
	if w.Server.Keys.Version() != before {
		t.Error("what was verified before is to be verified again")
	}
}
