package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// playersUUID is the ID that a player has had for years.
const playersUUID = "40db2ea4-5c1c-11e6-a3ff-005056a0e04a"

const subjectClients = `client 2 {
			name Launcher
			public
			redirect_uri https://game.example/cb
			scope email offline
			token_alg ES256
			claim player_id {user.id}
		}
		`

// accounts is a backend of the operator's own in which each user has any password, and
// the subject that subjects says.
func accounts(t *testing.T, subjects map[string]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Username string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		subject, known := subjects[asked.Username]
		if !known {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error":"wrong"}`) //nolint:errcheck // the test sees it
			return
		}
		answer := map[string]any{"user": map[string]any{"subject": subject, "name": asked.Username, "groups": []string{"players"}}}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// shop is a sign-in page of the operator's own that is signed in as one user.
func (w *world) shop(user map[string]any) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := json.Marshal(map[string]any{"state": r.URL.Query().Get("state"), "user": user})
		if err != nil {
			w.t.Error(err)
		}
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+w.portal+"/sso/trusted/shop/ticket", strings.NewReader(string(body)))
		if err != nil {
			w.t.Error(err)
		}
		ask.Header.Set("X-Sso-Signature", ownSigner(w.t).Sign(body, time.Now()))
		got, err := http.DefaultClient.Do(ask)
		if err != nil {
			w.t.Error(err)
			return
		}
		defer got.Body.Close()
		var ticket struct{ URL string }
		if json.NewDecoder(got.Body).Decode(&ticket) != nil || ticket.URL == "" {
			http.Error(rw, "no ticket", got.StatusCode)
			return
		}
		http.Redirect(rw, r, ticket.URL, http.StatusSeeOther)
	}))
	w.t.Cleanup(server.Close)
	return server
}

func backendBlock(id string, server *httptest.Server, more string) string {
	return "signin backend " + id + " {\nurl " + server.URL + "\nsecret " + ownSecret + "\n" + more + "\n}\n"
}

// showSubject stands behind a gate.
const showSubject = `respond "{http.request.header.X-SSO-Subject} is {http.request.header.X-SSO-User}"`

// claimsIn are those of a JWT.
func claimsIn(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return object(t, raw)
}

// me is what GET /api/users/me says of a token's user.
func (v *visitor) me(token string) map[string]any {
	v.t.Helper()
	r := v.request(http.MethodGet, "http://"+v.portal+"/api/users/me", "")
	r.Header.Set("Authorization", "Bearer "+token)
	return object(v.t, []byte(v.send(r).body))
}

// openID signs in to client 1 by OpenID Connect with the session of the visitor, and
// returns the subjects of the ID token and of userinfo.
func (v *visitor) openID(more url.Values) (id, userinfo, raw string) {
	v.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	asks := url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {"http://" + v.site + "/oauth2/callback"}, "scope": {"openid"},
		"state": {"12345678"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	maps.Copy(asks, more)
	location, err := v.getOnce("http://" + v.portal + "/oauth2/authorize?" + asks.Encode()).Location()
	if err != nil || location.Query().Get("code") == "" {
		v.t.Fatalf("no code: %v, %v", location, err)
	}
	got := v.send(v.request(http.MethodPost, "http://"+v.portal+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"1"}, "redirect_uri": {"http://" + v.site + "/oauth2/callback"},
		"code": {location.Query().Get("code")}, "code_verifier": {verifier},
	}.Encode()))
	answer := object(v.t, []byte(got.body))
	access, _ := answer["access_token"].(string)
	raw, _ = answer["id_token"].(string)
	r := v.request(http.MethodGet, "http://"+v.portal+"/oauth2/userinfo", "")
	r.Header.Set("Authorization", "Bearer "+access)
	info := object(v.t, []byte(v.send(r).body))
	return fmt.Sprint(claimsIn(v.t, raw)["sub"]), fmt.Sprint(info["sub"]), raw
}

// by signs in with the button of a sign-in method, and follows its redirects.
func (v *visitor) by(method string) answered {
	v.t.Helper()
	done := v.get(buttonOf(v.t, v.get("http://"+v.site+"/"), "/sso/with/"+method))
	if onward := refresh.FindStringSubmatch(done.body); onward != nil {
		return v.get(v.resolve(done, onward[1]))
	}
	return done
}

// tokensFrom gets tokens for client 2 with the session of the visitor.
func (v *visitor) tokensFrom(scope string) tokens {
	v.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	location, err := v.getOnce("http://" + v.portal + "/api/oauth2/auth?" + url.Values{
		"response_type": {"code"}, "client_id": {"2"}, "redirect_uri": {"https://game.example/cb"}, "scope": {scope}, "state": {"12345678"},
		"audience": {"2"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()).Location()
	if err != nil || location.Query().Get("code") == "" {
		v.t.Fatalf("no code: %v, %v", location, err)
	}
	got := v.send(v.request(http.MethodPost, "http://"+v.portal+"/api/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"2"}, "redirect_uri": {"https://game.example/cb"},
		"code": {location.Query().Get("code")}, "code_verifier": {verifier},
	}.Encode()))
	var out tokens
	if err := json.Unmarshal([]byte(got.body), &out); err != nil || out.Access == "" {
		v.t.Fatalf("%s: %s", got.Status, got.body)
	}
	return out
}

// refreshed are the tokens of a refresh.
func (v *visitor) refreshed(token string) tokens {
	v.t.Helper()
	got := v.refresh(token)
	var out tokens
	if err := json.Unmarshal([]byte(got.body), &out); err != nil || got.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %s", got.Status, got.body)
	}
	return out
}

func TestPlayersKeepTheirIDs(t *testing.T) {
	for name, c := range map[string]struct {
		method func(w *world) string
		signIn func(v *visitor) answered
		id     string
		store  string
	}{
		"a backend": {
			func(w *world) string {
				return backendBlock("accounts", accounts(w.t, map[string]string{"zoe": playersUUID}), "subject own")
			},
			func(v *visitor) answered { return v.submit(v.get("http://"+v.site+"/"), "zoe", "x") }, playersUUID, "",
		},
		"a backend whose IDs are numbers, in records of format 2": {
			func(w *world) string {
				return "record_format 2\n" + backendBlock("accounts", accounts(w.t, map[string]string{"zoe": "17"}), "subject own")
			},
			func(v *visitor) answered { return v.submit(v.get("http://"+v.site+"/"), "zoe", "x") }, "17", "storage file DIR/sso.db",
		},
		"a sign-in page": {
			func(w *world) string {
				url := w.shop(map[string]any{"subject": "Steam:7656|x", "name": "zoe"}).URL
				return "signin trusted shop {\nurl " + url + "\nsecret " + ownSecret + "\nsubject own\n}\n"
			},
			func(v *visitor) answered { return v.by("shop") }, "Steam:7656|x", "",
		},
		"a provider": {
			func(w *world) string {
				provider := brokenProvider(w.t, map[string]any{"sub": "auth0|5f7c8ec7", "preferred_username": "zoe"})
				return "signin oidc acme {\nissuer " + provider.URL + "\nclient_id sso\nclaim email off\nsubject own\n}\n"
			},
			func(v *visitor) answered { return v.by("acme") }, "auth0|5f7c8ec7", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{storage: c.store, global: subjectClients + c.method(w), handler: showSubject})
			v := w.visitor()
			if got := c.signIn(v); got.body != c.id+" is zoe" {
				t.Fatalf("the gate: %s: %s", got.Status, got.body)
			}
			first := v.tokensFrom("offline")
			for what, token := range map[string]string{"the first token": first.Access, "the next": v.refreshed(first.Refresh).Access} {
				if claims := claimsIn(t, token); claims["sub"] != c.id || claims["player_id"] != c.id {
					t.Errorf("%s has %v", what, claims)
				}
				if me := v.me(token); me["id"] != c.id {
					t.Errorf("%s is of %v", what, me)
				}
			}
			if id, userinfo, _ := v.openID(nil); id != c.id || userinfo != c.id {
				t.Errorf("the ID token says %q, userinfo %q", id, userinfo)
			}
		})
	}
}

// The method's own ID of a user reaches backends as a claim, if the subject is derived.
func TestAClaimHasTheIDThatAWayHasForAUser(t *testing.T) {
	for _, format := range []string{"record_format 1", "record_format 2"} {
		w := newWorld(t)
		provider := brokenProvider(t, map[string]any{"sub": "auth0|5f7c8ec7", "preferred_username": "zoe"})
		linked := brokenProvider(t, map[string]any{"sub": "auth0|demo", "email": "demo@example.com", "email_verified": true})
		w.mustLoad(setup{
			storage: "storage file DIR/sso.db", handler: showSubject, global: subjectClients + format + "\n" +
				backendBlock("accounts", accounts(t, map[string]string{"zoe": playersUUID}), "") +
				"signin trusted shop {\nurl " + w.shop(map[string]any{"subject": "17"}).URL + "\nsecret " + ownSecret + "\n}\n" +
				"signin oidc acme {\nissuer " + provider.URL + "\nclient_id sso\nclaim email off\n}\n" +
				"signin oidc staff {\nissuer " + linked.URL + "\nclient_id sso\nlink_email local\nclaim username email\n}\n",
		})
		local := ""
		for name, c := range map[string]struct {
			signIn func(v *visitor)
			id     string
		}{
			"the backend":   {func(v *visitor) { v.submit(v.get("http://"+v.site+"/"), "zoe", "x") }, playersUUID},
			"the page":      {func(v *visitor) { v.by("shop") }, "17"},
			"the provider":  {func(v *visitor) { v.by("acme") }, "auth0|5f7c8ec7"},
			"a local user":  {func(v *visitor) { v.signIn("http://" + v.site + "/") }, ""},
			"who is linked": {func(v *visitor) { v.by("staff") }, ""},
		} {
			v := w.visitor()
			c.signIn(v)
			first := v.tokensFrom("offline")
			for _, token := range []string{first.Access, v.refreshed(first.Refresh).Access} {
				claims := claimsIn(t, token)
				sub := fmt.Sprint(claims["sub"])
				if c.id == "" { // a user of this site has no other
					if local != "" && sub != local {
						t.Errorf("%s, %s: there are two demos, %s and %s", format, name, sub, local)
					}
					local, c.id = sub, sub
				} else if sub == c.id || sub[14] != '5' {
					t.Errorf("%s, %s: the subject is %s", format, name, sub)
				}
				if claims["player_id"] != c.id {
					t.Errorf("%s, %s: %v", format, name, claims)
				}
				if _, there := claims["id"]; there && claims["provider"] == nil {
					t.Errorf("%s, %s: a claim of providers' users: %v", format, name, claims)
				}
				c.id = map[bool]string{true: "", false: c.id}[c.id == local]
			}
		}
	}
}

// Turned on, it changes nobody who is signed in, until they sign in again; and then all
// that they have is theirs.
func TestSubjectOwnLeavesWhoIsSignedInAlone(t *testing.T) {
	w := newWorld(t)
	backend := accounts(t, map[string]string{"zoe": playersUUID})
	provider := brokenProvider(t, map[string]any{"sub": "ann|1", "preferred_username": "ann"})
	s := setup{handler: showSubject, options: "grace_period 10ms"}
	with := func(own, other string) {
		s.global = subjectClients + backendBlock("accounts", backend, own) + "signin oidc acme {\nissuer " + provider.URL + "\nclient_id sso\nclaim email off\n" + other + "\n}\n"
		w.mustLoad(s)
	}
	site := "http://" + w.site + "/"
	with("", "")
	old := w.visitor()
	before := old.submit(old.get(site), "zoe", "x").body
	if before[14] != '5' {
		t.Fatalf("the subject is not derived: %s", before)
	}
	held := old.tokensFrom("offline")
	_, _, hint := old.openID(nil)
	with("subject own", "")
	if got := old.getOnce(site); got.body != before {
		t.Errorf("who is signed in is now %s: %s", got.Status, got.body)
	}
	held = old.refreshed(held.Refresh)
	if sub := claimsIn(t, held.Access)["sub"]; before != fmt.Sprint(sub)+" is zoe" {
		t.Errorf("the grant is now of %v", sub)
	}

	v := w.visitor()
	if got := v.submit(v.get(site), "zoe", "x"); got.body != playersUUID+" is zoe" {
		t.Fatalf("%s: %s", got.Status, got.body)
	}
	// An ID token of before names the same person.
	if id, _, _ := v.openID(url.Values{"id_token_hint": {hint}, "prompt": {"none"}}); id != playersUUID {
		t.Errorf("the hint leads to %q", id)
	}
	for who, b := range map[string]*visitor{"by the new session": v, "by the old one": old} {
		if list := b.get("http://" + w.portal + "/sso/sessions").body; strings.Count(list, `name="end" value="`) != 3 || !strings.Contains(list, "Launcher") {
			t.Errorf("%s, the page of sessions has not both: %s", who, list)
		}
	}
	page := v.get("http://" + w.portal + "/sso/sessions")
	if got := v.send(v.request(http.MethodPost, page.Request.URL.String(), "end=others")); got.StatusCode >= 400 {
		t.Fatalf("%s: %s", got.Status, got.body)
	}
	if got := old.getOnce(site); got.StatusCode == http.StatusOK {
		t.Error("signed out everywhere else, and not of the session of before")
	}
	if got := old.refresh(held.Refresh); got.StatusCode == http.StatusOK {
		t.Error("signed out everywhere else, and the grant of before gives tokens")
	}
	// A user whom the operator ends by the ID has nothing left of before either.
	with("", "")
	third := w.visitor()
	third.submit(third.get(site), "zoe", "x")
	with("subject own", "")
	if got := w.ask(http.MethodDelete, "/sso/users/"+playersUUID); got.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	if third.getOnce(site).StatusCode == http.StatusOK || v.getOnce(site).StatusCode == http.StatusOK {
		t.Error("a session of the user is left")
	}
	if got := v.submit(v.get(site), "zoe", "x"); got.body != playersUUID+" is zoe" {
		t.Fatalf("%s: %s", got.Status, got.body)
	}
	// Turned off, nobody is signed out either; where another method has it, whose users
	// may have the same IDs, these sessions count no longer.
	with("", "")
	if got := v.getOnce(site); got.body != playersUUID+" is zoe" {
		t.Errorf("turned off: %s: %s", got.Status, got.body)
	}
	with("", "subject own")
	if got := v.getOnce(site); got.StatusCode == http.StatusOK {
		t.Errorf("if another method has it: %s", got.body)
	}
	if got := v.by("acme"); got.body != "ann|1 is ann" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

// At the provider it is the same person who comes back, so nobody is asked whether to
// switch.
func TestAUserWhoComesBackWithTheirOwnSubjectIsNotAnotherUser(t *testing.T) {
	w := newWorld(t)
	provider := brokenProvider(t, map[string]any{"sub": "ann|1", "preferred_username": "ann"})
	s := setup{handler: showSubject}
	for _, own := range []string{"", "subject own"} {
		s.global = "signin oidc acme {\nissuer " + provider.URL + "\nclient_id sso\nclaim email off\n" + own + "\n}\n"
		w.mustLoad(s)
	}
	v := w.visitor()
	if got := v.by("acme"); got.body != "ann|1 is ann" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}
