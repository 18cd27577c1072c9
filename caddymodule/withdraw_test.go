package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// thirdParty allows client 7 what it asks for, with scope offline, and returns the
// refresh token that it gets.
func (v *visitor) thirdParty() string {
	v.t.Helper()
	at, outside := v.walk(v.asks(loginDoor, "7", "email offline"))
	if outside == nil {
		at, outside = v.decide(at, "allow")
	}
	wantCode(v.t, at, outside)
	got := v.redeemed(outside)
	var given tokens
	if err := json.Unmarshal([]byte(got.body), &given); err != nil || given.Refresh == "" {
		v.t.Fatalf("%s: %s", got.Status, got.body)
	}
	return given.Refresh
}

// redeemed redeems the code of client 7 that a callback got.
func (v *visitor) redeemed(callback *url.URL) answered {
	v.t.Helper()
	return v.send(v.request(http.MethodPost, "http://"+v.portal+"/api/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"7"}, "redirect_uri": {callbacks["7"]}, "code": {callback.Query().Get("code")}, "code_verifier": {verifier},
	}.Encode()))
}

// refreshes trades a refresh token of client 7, which never asks.
func (v *visitor) refreshes(token string) (next string, ok bool) {
	v.t.Helper()
	got := v.send(v.request(http.MethodPost, "http://"+v.portal+"/api/oauth2/token",
		url.Values{"grant_type": {"refresh_token"}, "client_id": {"7"}, "refresh_token": {token}}.Encode()))
	var given tokens
	_ = json.Unmarshal([]byte(got.body), &given)
	return given.Refresh, got.StatusCode == http.StatusOK
}

func TestClass16WhoWithdrawsAConsentIsAskedAgainAndEndsWhatWasGivenByIt(t *testing.T) {
	for _, storage := range []string{"storage memory", "storage file DIR/sso.db", "storage file DIR/sso.db\nrecord_format 2", "redis"} {
		t.Run(storage, func(t *testing.T) {
			w := newWorld(t)
			s := setup{storage: storage, global: asking}
			if storage == "redis" {
				s.storage = "storage redis " + redistest.Start(t).URL() + " " + redisKey
			}
			w.mustLoad(s)
			v := w.allowing()
			v.thirdParty()
			v.walk(w.asks(loginDoor, "7", "email")) // does not ask
			for name, button := range map[string]func(answered) []string{
				"by its application": func(answered) []string { return []string{"withdraw", "7"} },
				"with its grant":     func(page answered) []string { return []string{"access", valueOf(t, page, "access")} },
				"with all":           func(answered) []string { return []string{"end", "others"} },
			} {
				refresh := v.thirdParty()
				refresh, ok := v.refreshes(refresh)
				_, waiting := v.walk(w.asks(loginDoor, "7", "email offline"))
				page := v.openSessions()
				if text := reads(page); !ok || !strings.Contains(text, "Applications that you allowed") || !strings.Contains(text, "The <third> party Can see your e-mail address Can stay signed in") {
					t.Fatalf("%s: %s", name, text)
				}
				v.answer(page, "", button(page)...)
				if _, ok := v.refreshes(refresh); ok {
					t.Errorf("%s: the grant lives on", name)
				}
				if got := v.redeemed(waiting); got.StatusCode == http.StatusOK {
					t.Errorf("%s: a code that was waiting became a grant", name)
				}
				if text := reads(v.openSessions()); strings.Contains(text, "Applications that you allowed") {
					t.Errorf("%s: %s", name, text)
				}
				v.consentPage(w.asks(loginDoor, "7", "email"))
			}
		})
	}
}

// valueOf is the value of the first button of a name.
func valueOf(t *testing.T, page answered, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(page.body, `name="`+name+`" value="`)
	value, _, _ := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("no button %s: %s", name, reads(page))
	}
	return value
}

// A session that a user wants to end may have been a thief's.
func TestClass16WhatWasAllowedInASessionGoesWithIt(t *testing.T) {
	for by, end := range map[string]func(w *world, id string){
		"a button": func(w *world, id string) {
			v := w.allowing()
			v.answer(v.openSessions(), "", "end", id)
		},
		"the operator": func(w *world, id string) { w.ask(http.MethodDelete, "/sso/sessions/"+id) },
		"the operator, with all of the user": func(w *world, _ string) {
			w.ask(http.MethodDelete, "/sso/users/demo")
		},
	} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{global: asking})
			w.allowing().thirdParty()
			sessions := w.sessions()
			if len(sessions) != 1 {
				t.Fatalf("%d sessions", len(sessions))
			}
			wantCode(t, answered{}, second(w.allowing().walk(w.asks(loginDoor, "7", "email"))))
			end(w, sessions[0].ID[:16])
			w.allowing().consentPage(w.asks(loginDoor, "7", "email"))
		})
	}
}

// What was added to it since, in other sessions, does not keep it.
func TestClass16WhatAThiefAllowedGoesThoughItsOwnerAllowedMore(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: asking})
	known := map[string]bool{}
	allow := func(scope string) (session string) {
		v := w.allowing()
		for _, s := range w.sessions() {
			if !known[s.ID] {
				known[s.ID], session = true, s.ID[:16]
			}
		}
		wantCode(t, answered{}, second(v.decide(v.consentPage(w.asks(loginDoor, "7", scope)), "allow")))
		return session
	}
	thief := allow("inventory")
	owner := allow("email")
	v := w.allowing()
	v.answer(v.openSessions(), "", "end", thief)
	v.consentPage(w.asks(loginDoor, "7", "inventory"))

	// Nor is it withdrawn with a session in which nothing was added.
	allow("inventory")
	v.answer(v.openSessions(), "", "end", owner)
	wantCode(t, answered{}, second(v.walk(w.asks(loginDoor, "7", "inventory"))))
}

// The name may be another person's by then.
func TestClass14AConsentIsOfThePasswordThatTheUserHad(t *testing.T) {
	w := newWorld(t)
	other, err := bcrypt.GenerateFromPassword([]byte("another"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	signIn := func(hash, password string) *visitor {
		t.Helper()
		w.mustLoad(setup{local: "user ann " + hash, global: asking + "\ncodes {\ncapacity " + strconv.Itoa(1000+len(password)) + "\n}"})
		v := w.visitor()
		v.submit(v.get("http://"+w.site+"/"), "ann", password)
		return v
	}
	v := signIn(demoHash, "demo")
	wantCode(t, answered{}, second(v.decide(v.consentPage(w.asks(loginDoor, "7", "email")), "allow")))
	wantCode(t, answered{}, second(signIn(demoHash, "demo").walk(w.asks(loginDoor, "7", "email"))))
	signIn(string(other), "another").consentPage(w.asks(loginDoor, "7", "email"))
}

func TestAFullStoreTakesNoConsentAndLetsOneBeWithdrawn(t *testing.T) {
	w, server := onRedis(t, setup{global: asking})
	v := w.allowing()
	v.thirdParty()
	page := v.consentPage(w.asks(loginDoor, "8", "email"))
	sessions := v.openSessions()
	fill(t, server)
	got := v.answer(page, "allow")
	if got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, `id="retry"`) || got.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %s", got.Status, reads(got))
	}
	if got := v.answer(sessions, "", "withdraw", "7"); got.StatusCode != http.StatusSeeOther {
		t.Errorf("withdrawing: %s: %s", got.Status, reads(got))
	}
	empty(server)
	if text := reads(v.openSessions()); strings.Contains(text, "Applications that you allowed") {
		t.Error("it is not withdrawn")
	}

	// Trying again leads to the page, and nothing was lost.
	_, rest, _ := strings.Cut(got.body, `id="retry"`)
	_, rest, _ = strings.Cut(rest, `href="`)
	again, _, _ := strings.Cut(rest, `"`)
	page = v.consentPage(v.resolve(got, again))
	wantCode(t, page, second(v.decide(page, "allow")))
}

func TestAGateNeverAsks(t *testing.T) {
	for name, c := range map[string]struct {
		from, to, want string
	}{
		"the client of a gate":         {"token_alg RS256", "token_alg RS256\nconsent first", `client "1" has consent first, but a gate never asks`},
		"a mode that there is not":     {"token_alg RS256", "consent once", `consent "once" is unknown; use first, always or never`},
		"words for no scope":           {"token_alg RS256", `scope_text inventory "trade items"`, `scope_text "inventory": the client has no such scope; add: scope inventory`},
		"words that are none":          {"token_alg RS256", "scope inventory\nscope_text inventory \" \"", `scope_text "inventory": " " is empty`},
		"a scope without words":        {"token_alg RS256", "scope inventory\nscope_text inventory", "scope_text: expected a scope and words"},
		"words for a scope, and again": {"token_alg RS256", "scope a\nscope_text a b\nscope_text a c", "duplicate option: scope_text a"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := adapt(spoil(t, c.from, c.to))
			if err == nil {
				err = validate(config)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Caddyfile:") {
				t.Errorf("%v", err)
			}
		})
	}
	for _, mode := range []string{"consent never", "consent first\n}\nclient 2 {\npublic\nredirect_uri https://game.example/oauth2/other\ntoken_alg RS256"} {
		text := spoil(t, "token_alg RS256", "token_alg RS256\n"+mode)
		if strings.Contains(mode, "client 2") {
			text = strings.Replace(text, "		client 1\n", "		client 2\n", 1)
		}
		config, err := adapt(text)
		if err == nil {
			err = validate(config)
		}
		if err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}

	// JSON has no Caddyfile in which that would be found.
	config, err := adapt(spoil(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate([]byte(strings.Replace(string(config), `"token_alg":"RS256"`, `"token_alg":"RS256","consent":"always"`, 1))); err == nil || !strings.Contains(err.Error(), "a gate never asks") {
		t.Errorf("%v", err)
	}
}
