package gate

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// tokens are those of client 1 for a session, with these scopes.
func (f *fixture) tokens(sess *session.Session, scope ...string) *oauth.Tokens {
	f.t.Helper()
	server, client := f.gate.Server, f.client("1")
	verifier := oauth.NewVerifier()
	a, refusal := server.CheckOpenID(f.t.Context(), oauth.OpenIDRequest{
		ResponseType: "code", ClientID: "1", RedirectURI: siteOrigin + "/oauth2/callback", State: "12345678",
		Scope: append([]string{"openid"}, scope...), CodeChallenge: oauth.Challenge(verifier), CodeChallengeMethod: oauth.S256,
	})
	if refusal != nil {
		f.t.Fatal(refusal)
	}
	code, refusal := server.IssueCode(f.t.Context(), a, oauth.SignedIn{Session: sess, User: sess.User()}, "192.0.2.1")
	if refusal != nil {
		f.t.Fatal(refusal)
	}
	tokens, refusal := server.ExchangeCode(f.t.Context(), oauth.CodeRequest{
		Client: client, Code: code, RedirectURI: siteOrigin + "/oauth2/callback", Verifier: verifier, IDToken: true,
	})
	if refusal != nil {
		f.t.Fatal(refusal)
	}
	return tokens
}

// clientToken is a client's own token.
func (f *fixture) clientToken(id string) string {
	f.t.Helper()
	tokens, refusal := f.gate.Server.ClientToken(f.t.Context(), f.client(id), nil, nil, "192.0.2.1")
	if refusal != nil {
		f.t.Fatal(refusal)
	}
	return tokens.Access
}

func (f *fixture) client(id string) *oauth.Client {
	f.t.Helper()
	c, ok := f.gate.Server.Clients.Get(id)
	if !ok {
		f.t.Fatal("no client", id)
	}
	return c
}

// claims are those of a token of ours.
func (f *fixture) claims(token string) map[string]any {
	f.t.Helper()
	payload, err := f.gate.Keys.Verify(f.t.Context(), token, keys.EdDSA)
	if err != nil {
		f.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		f.t.Fatal(err)
	}
	return claims
}

// changed is a token like another, signed by us, with other claims; nil leaves
// one out.
func (f *fixture) changed(token string, change map[string]any) string {
	f.t.Helper()
	claims := f.claims(token)
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	signed, err := f.gate.Keys.Sign(f.t.Context(), keys.EdDSA, claims)
	if err != nil {
		f.t.Fatal(err)
	}
	return signed
}

func (f *fixture) endGrant(token string) {
	f.t.Helper()
	if err := f.gate.Server.Grants.End(f.t.Context(), f.claims(token)["gid"].(string)); err != nil {
		f.t.Fatal(err)
	}
}

// call sends a request of a script that has no cookie. Headers are pairs.
func (f *fixture) call(authorization []string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := f.browser().request("/api?a=b")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	f.called, f.last = 0, nil
	return f.serve(r)
}

func bearer(token string) []string { return []string{"Bearer " + token} }

// wantChallenge holds RFC 6750 section 3, and that a token leads to no page.
func wantChallenge(t testing.TB, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	wantStatus(t, w, status)
	got := w.Header().Get("Www-Authenticate")
	if !strings.HasPrefix(got, `Bearer error="`+code+`", error_description="`) || strings.Count(got, `"`) != 4 {
		t.Errorf("WWW-Authenticate: %s", got)
	}
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error != code || !strings.Contains(got, body.Description) {
		t.Errorf("the body is %s (%v)", w.Body, err)
	}
	h := w.Header()
	if h.Get("Location") != "" || h.Get("Set-Cookie") != "" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
}

func TestABearerPassesWithTheIdentityOfItsSession(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	sess := b.enter(demo)
	b.want(b.do("GET", "/"), http.StatusOK)
	want := identityOf(f.last.Header)
	for name, token := range map[string]string{
		"without a scope": f.tokens(sess).Access,
		"with offline":    f.tokens(sess, "offline", "email").Access,
	} {
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER  "} {
			wantStatus(t, f.call([]string{scheme + token}), http.StatusOK)
			if got := identityOf(f.last.Header); !maps.EqualFunc(got, want, slices.Equal) || len(got) != 4 {
				t.Errorf("%s: the upstream got %v, of the session %v", name, got, want)
			}
			if got := f.last.Header["Authorization"]; !slices.Equal(got, []string{scheme + token}) {
				t.Errorf("%s: Authorization goes on as %q", name, got)
			}
		}
	}
}

// What a token is worth, whatever the request waits for.
func TestClass26WhatIsNoTokenForThisGateDoesNotPass(t *testing.T) {
	f := newFixture(t)
	client, _ := f.gate.Server.Clients.Get("1")
	licenses, err := oauth.NewLicenses([]*oauth.Product{{
		Code: "demo", Client: client, RedirectURIs: client.RedirectURIs, ResponseTypes: []string{oauth.LicenseToken}, Accounts: []string{"acme"},
	}}, []*oauth.CustomerAccount{{Code: "acme", Methods: []string{demo.Signin}}}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	f.gate.Server.Licenses = licenses
	sess := f.browser().signIn(demo)
	tokens := f.tokens(sess)
	good := tokens.Access
	elsewhere := newFixture(t)
	now := f.clock.Now().Unix()
	type set = map[string]any
	cut := strings.LastIndex(good, ".")
	for name, tt := range map[string]struct {
		authorization []string
		says          string
	}{
		"an ID token":                         {bearer(tokens.ID), "not an access token of this portal"},
		"a license token":                     {bearer(f.changed(good, set{"license_product": "demo", "license_customer_account": "acme"})), "activation of a license"},
		"a license token without its account": {bearer(f.changed(good, set{"license_product": "demo"})), "not an access token of this portal"},
		"another issuer's":                    {bearer(f.changed(good, set{"iss": "https://other.example"})), "not an access token of this portal"},
		"another portal's":                    {bearer(elsewhere.tokens(elsewhere.browser().signIn(demo)).Access), "not an access token of this portal"},
		"for another audience":                {bearer(f.changed(good, set{"aud": []string{"other"}})), "another audience"},
		"for no audience":                     {bearer(f.changed(good, set{"aud": []string{}})), "another audience"},
		"for an audience that begins like it": {bearer(f.changed(good, set{"aud": []string{"gam", "games", "Game", "game ", "1"}})), "another audience"},
		"a client's, for another audience":    {bearer(f.changed(f.clientToken("3"), set{"aud": []string{"other"}})), "another audience"},
		"expired":                             {bearer(f.changed(good, set{"exp": now})), "has expired"},
		"of a client that is gone":            {bearer(f.changed(good, set{"client_id": "99"})), "not an access token of this portal"},
		"of another session":                  {bearer(f.changed(good, set{"sid": strings.Repeat("A", 43)})), "not an access token of this portal"},
		"without a signature":                 {bearer(good[:cut+1]), "not an access token of this portal"},
		"with another's signature":            {bearer(good[:cut] + f.changed(good, set{"jti": "x"})[cut:]), "not an access token of this portal"},
		"nothing":                             {[]string{"Bearer"}, "not an access token of this portal"},
		"blanks":                              {[]string{"Bearer    "}, "not an access token of this portal"},
		"a backend's own":                     {bearer("8xLOxBtZp8"), "not an access token of this portal"},
		"two in one":                          {[]string{"Bearer " + good + ", Bearer " + good}, "not an access token of this portal"},
		"one with parameters":                 {[]string{"Bearer token=" + good}, "not an access token of this portal"},
		"a huge one":                          {bearer(strings.Repeat("A", 100_000)), "not an access token of this portal"},
		"control characters":                  {bearer("\x00\x7f\xff\""), "not an access token of this portal"},
	} {
		t.Run(name, func(t *testing.T) {
			for waits, header := range map[string][]string{"script": nil, "page": navigation, "stream": {"Accept", "text/event-stream"}, "socket": {"Upgrade", "websocket"}} {
				w := f.call(tt.authorization, header...)
				wantChallenge(t, w, http.StatusUnauthorized, "invalid_token")
				if !strings.Contains(w.Header().Get("Www-Authenticate"), tt.says) {
					t.Errorf("%s: WWW-Authenticate says %s, not %q", waits, w.Header().Get("Www-Authenticate"), tt.says)
				}
				f.untouched()
			}
		})
	}
	wantStatus(t, f.call(bearer(good)), http.StatusOK)
	for _, twice := range [][]string{{"Bearer " + good, "Bearer " + good}, {"Basic eDp5", "Bearer " + good}, {"Bearer " + good, ""}} {
		wantChallenge(t, f.call(twice, navigation...), http.StatusBadRequest, "invalid_request")
		f.untouched()
	}
}

// A client that gets a token for the gate's audience may pass: that is what the
// audience is for. A client that is not registered for it gets none.
func TestClass12ATokenOfAnotherClientCountsByItsAudienceAlone(t *testing.T) {
	f := newFixture(t)
	token := f.tokens(f.browser().signIn(demo)).Access
	f.use(f.client("2")) // of the same audience
	wantStatus(t, f.call(bearer(token)), http.StatusOK)
	f.client("2").Audiences = []string{"shop"}
	wantChallenge(t, f.call(bearer(token)), http.StatusUnauthorized, "invalid_token")
	f.client("2").Audiences = []string{"shop", "game"}
	wantStatus(t, f.call(bearer(token)), http.StatusOK)
	f.client("1").Disabled = true // whose token it is
	wantChallenge(t, f.call(bearer(token)), http.StatusUnauthorized, "invalid_token")
}

func TestClass14ATokenOfWhoMayNotSignInIsRefused(t *testing.T) {
	endSession := func(f *fixture, sess *session.Session, _ string) {
		if err := f.gate.Server.Sessions.End(f.t.Context(), sess.Key()); err != nil {
			f.t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		scope []string
		end   func(f *fixture, sess *session.Session, token string)
		lives bool
	}{
		"the user is disabled":                     {nil, func(f *fixture, _ *session.Session, _ string) { delete(f.users, demo.Subject) }, false},
		"the user is disabled, offline":            {[]string{"offline"}, func(f *fixture, _ *session.Session, _ string) { delete(f.users, demo.Subject) }, false},
		"the session has ended":                    {nil, endSession, false},
		"the session has ended, which it outlives": {[]string{"offline"}, endSession, true},
		"the grant has ended":                      {nil, func(f *fixture, _ *session.Session, token string) { f.endGrant(token) }, false},
		"the grant has ended, offline":             {[]string{"offline"}, func(f *fixture, _ *session.Session, token string) { f.endGrant(token) }, false},
		"the token has expired":                    {nil, func(f *fixture, _ *session.Session, _ string) { f.clock.Advance(time.Hour) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			sess := f.browser().signIn(demo)
			token := f.tokens(sess, tt.scope...).Access
			wantStatus(t, f.call(bearer(token)), http.StatusOK) // remembered
			tt.end(f, sess, token)
			if w := f.call(bearer(token)); tt.lives {
				wantStatus(t, w, http.StatusOK)
			} else {
				wantChallenge(t, w, http.StatusUnauthorized, "invalid_token")
				f.untouched()
			}
		})
	}
}

func TestGroupsAreThoseOfNow(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.Groups = []string{"staff"}
	token := f.tokens(f.browser().signIn(demo)).Access
	w := f.call(bearer(token), navigation...)
	wantChallenge(t, w, http.StatusForbidden, "insufficient_scope")
	f.untouched()
	member := demo
	member.Groups = []string{"staff"}
	f.users[demo.Subject] = member
	wantStatus(t, f.call(bearer(token)), http.StatusOK)
	if got := f.last.Header.Get("X-SSO-Groups"); got != "staff" {
		t.Errorf("X-SSO-Groups %q", got)
	}
}

func TestAClientsOwnTokenTakesAllowClient(t *testing.T) {
	f := newFixture(t)
	for _, groups := range [][]string{nil, {"staff"}} { // clients are in none
		f.gate.Policy.Groups = groups
		f.gate.Policy.Clients = nil
		wantChallenge(t, f.call(bearer(f.clientToken("3")), navigation...), http.StatusForbidden, "insufficient_scope")
		f.gate.Policy.Clients = []string{"4", "33"}
		wantChallenge(t, f.call(bearer(f.clientToken("3"))), http.StatusForbidden, "insufficient_scope")
		f.untouched()
		f.gate.Policy.Clients = []string{"4", "3"}
		wantStatus(t, f.call(bearer(f.clientToken("3")), "X-SSO-User", "admin", "X_SSO_Client", "1", "X-SSO-Groups", "staff"), http.StatusOK)
		if got := identityOf(f.last.Header); len(got) != 1 || !slices.Equal(got["X-Sso-Client"], []string{"3"}) {
			t.Errorf("the upstream got %v", got)
		}
	}
	// A user's token is no client's, whatever its subject.
	token := f.tokens(f.browser().signIn(demo)).Access
	f.gate.Policy.Clients = []string{"1"}
	wantChallenge(t, f.call(bearer(token)), http.StatusForbidden, "insufficient_scope")
	f.client("3").Disabled = true
	wantChallenge(t, f.call(bearer(f.clientToken("3"))), http.StatusUnauthorized, "invalid_token")
}

// The Authorization header is the backend's own affair where there is a session.
func TestASessionGoesBeforeWhateverAuthorizationSays(t *testing.T) {
	f := newFixture(t)
	other := session.User{Subject: "22222222-2222-4222-8222-222222222222", Name: "other", Signin: "local"}
	f.users[other.Subject] = other
	theirs := f.tokens(f.browser().signIn(other)).Access
	b := f.browser()
	b.enter(demo)
	for name, authorization := range map[string][]string{
		"another user's token": bearer(theirs),
		"a bad token":          bearer("x"),
		"another scheme":       {"Basic ZGVtbzpkZW1v"},
		"several":              {"Bearer x", "Bearer " + theirs},
		"an empty one":         {""},
	} {
		r := b.request("/")
		r.Header["Authorization"] = authorization
		wantStatus(t, f.serve(r), http.StatusOK)
		if got := f.last.Header.Get("X-SSO-User"); got != "demo" {
			t.Errorf("%s: the upstream knows %q", name, got)
		}
		if got := f.last.Header["Authorization"]; !slices.Equal(got, authorization) {
			t.Errorf("%s: Authorization goes on as %q", name, got)
		}
	}
	// A session that may not pass is not helped by a token.
	f.gate.Policy.Groups = []string{"staff"}
	staff := other
	staff.Groups = []string{"staff"}
	f.users[other.Subject] = staff
	r := b.request("/")
	r.Header["Authorization"] = bearer(theirs)
	wantStatus(t, f.serve(r), http.StatusForbidden)
	wantStatus(t, f.call(bearer(theirs)), http.StatusOK)

	// One that is over is none.
	f.gate.Policy.Groups = nil
	if err := f.gate.Server.Sessions.End(t.Context(), f.sessionOf(b)); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f.serve(r), http.StatusOK)
	if got := f.last.Header.Get("X-SSO-User"); got != "other" {
		t.Errorf("without a session, the upstream knows %q", got)
	}
}

// sessionOf is the key of the SSO session that a browser has at the portal.
func (f *fixture) sessionOf(b *browser) session.Key {
	f.t.Helper()
	in, err := f.gate.Server.SignedIn(f.t.Context(), b.cookies[portalOrigin][portalCookie(f.t).Name])
	if err != nil {
		f.t.Fatal(err)
	}
	return in.Session.Key()
}

func TestOtherSchemesAreNoTokens(t *testing.T) {
	f := newFixture(t)
	for _, authorization := range []string{"Basic ZGVtbzpkZW1v", "Digest x", "Bearerx y", "x Bearer y", "", "Bearer\ty", "DPoP x"} {
		w := f.call([]string{authorization}, navigation...)
		wantStatus(t, w, http.StatusFound)
		w = f.call([]string{authorization})
		wantStatus(t, w, http.StatusUnauthorized)
		if got := w.Header().Get("Www-Authenticate"); got != `Bearer realm="sso"` || !strings.Contains(w.Body.String(), "login_url") {
			t.Errorf("%q: WWW-Authenticate %q: %s", authorization, got, w.Body)
		}
		f.untouched()
	}
}

func TestBearerOffIsAsIfThereWereNoTokens(t *testing.T) {
	f := newFixture(t)
	token := f.tokens(f.browser().signIn(demo)).Access
	f.gate.Policy.Bearer = false
	f.gate.Policy.Clients = []string{"3"}
	for _, authorization := range [][]string{bearer(token), bearer("x"), bearer(f.clientToken("3")), {"Bearer x", "Bearer y"}} {
		w := f.call(authorization, navigation...)
		wantStatus(t, w, http.StatusFound)
		w = f.call(authorization)
		wantStatus(t, w, http.StatusUnauthorized)
		if got, there := w.Header()["Www-Authenticate"]; there {
			t.Errorf("WWW-Authenticate %q", got)
		}
		f.untouched()
	}
}
