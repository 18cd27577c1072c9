package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusedSubjects are subjects that no player may have, and what the log says of each.
func refusedSubjects(local string) map[string]struct{ subject, why string } {
	return map[string]struct{ subject, why string }{
		"localuser":  {local, "UUID of version 5"},
		"upper":      {strings.ToUpper(local), "UUID of version 5"},
		"braces":     {"{" + local + "}", "UUID of version 5"},
		"urn":        {"urn:uuid:" + local, "UUID of version 5"},
		"nobodyyet":  {"9d4e1e23-8d8f-5b0c-9f6a-2b1e5a2f3c4d", "UUID of version 5"},
		"configured": {"0f8fad5b-d9cb-469f-a165-70867728950e", "that of a user of signin local"},
		"uppercase":  {"0F8FAD5B-D9CB-469F-A165-70867728950E", "that of a user of signin local"},
		"digits":     {"0F8FAD5Bd9cb469fa16570867728950e", "that of a user of signin local"},
		"fromfile":   {"1f8fad5b-d9cb-469f-a165-70867728950e", "that of a user of signin local"},
		"name":       {"Demo", "the name or the e-mail address of a user of signin local"},
		"address":    {"demo@Example.com", "the name or the e-mail address of a user of signin local"},
		"client":     {"3", "the ID of a client that gets tokens of its own"},
		"long":       {strings.Repeat("x", 256), ""},
		"space":      {"17 ", "printable ASCII"},
		"unicode":    {"zoë", "printable ASCII"},
		"control":    {"1\n7", ""},
	}
}

func TestClass19ASubjectThatIsOrCouldBeAnotherUsersIsRefused(t *testing.T) {
	w := newWorld(t)
	users := filepath.Join(w.dir, "users.jsonl")
	line := fmt.Sprintf(`{"name":"filed","hash":%q,"subject":"1f8fad5b-d9cb-469f-a165-70867728950e","disabled":true}`+"\n", demoHash)
	if err := os.WriteFile(users, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	subjects := map[string]string{"zoe": "17"}
	s := setup{
		local: "user written HASH {\nsubject 0f8fad5b-d9cb-469f-a165-70867728950e\n}\nusers " + users, handler: showSubject,
		global: subjectClients + "client 3 {\nsecret 0123456789abcdef\nredirect_uri https://shop.example/cb\n}\n" +
			backendBlock("accounts", accounts(t, subjects), "subject own"),
	}.withLog()
	w.mustLoad(s)
	v := w.visitor()
	local, _, _ := strings.Cut(v.signIn("http://"+w.site+"/").body, " ")
	for name, c := range refusedSubjects(local) {
		subjects[name] = c.subject
	}
	// The session of a user who is signed in meanwhile stays.
	if got := v.getOnce("http://" + w.site + "/"); got.body != local+" is demo" {
		t.Fatal(got.body)
	}
	sum := sha256.Sum256([]byte(verifier))
	popup := "http://" + w.portal + "/api/oauth2/auth?" + url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {"http://" + w.site + "/oauth2/callback"}, "popup": {"true"}, "scope": {""},
		"state": {"12345678"}, "audience": {"1"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	for name, c := range refusedSubjects(local) {
		down := c.why == "" // which is no subject for any method
		for where, page := range map[string]string{"page": "http://" + w.site + "/", "popup": popup} {
			b := w.visitor()
			got := b.submit(b.get(page), name, "x")
			if !down && (got.StatusCode != http.StatusForbidden || !strings.Contains(got.body, "cannot be used here") || strings.Contains(got.body, "010-026") != (where == "popup")) {
				t.Errorf("%s, %s: %s: %.200s", name, where, got.Status, got.body)
			}
			if got := b.getOnce("http://" + w.site + "/"); got.StatusCode == http.StatusOK {
				t.Errorf("%s, %s: signed in as %s", name, where, got.body)
			}
		}
		got := w.visitor().api("/api/oauth2/login/token?client_id=2", credentials{name, "x"})
		if !down && (got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.body, `"code":"010-026"`)) || got.StatusCode == http.StatusOK {
			t.Errorf("%s: the Login API: %s: %s", name, got.Status, got.body)
		}
	}
	text, lines := w.logged()
	counts := map[string]int{}
	for _, l := range lines {
		if strings.Contains(l.Text, "their subject cannot be used") {
			counts[l.Text]++
		}
	}
	for name, c := range refusedSubjects(local) {
		if !strings.Contains(text, c.why) {
			t.Errorf("%s: the log does not say %q", name, c.why)
		}
	}
	if n := counts["a user was not signed in, because their subject cannot be used; give the user another ID where they come from, or remove subject own and put {user.id} into a claim"]; n != 5 {
		t.Errorf("%d lines for five reasons", n)
	}
	// Nobody else is kept out by it.
	if got := w.visitor(); got.submit(got.get("http://"+w.site+"/"), "zoe", "x").body != "17 is zoe" {
		t.Error("a player with an ID of their own is not signed in")
	}
}

func TestClass19ARefusedSubjectOfAnotherServerIsSaidInWords(t *testing.T) {
	w := newWorld(t)
	const taken = "0f8fad5b-d9cb-469f-a165-70867728950e"
	local := "user written HASH {\nsubject " + taken + "\n}"
	provider := brokenProvider(t, map[string]any{"sub": taken, "preferred_username": "zoe"})
	w.mustLoad(setup{local: local, global: "signin oidc acme {\nissuer " + provider.URL + "\nclient_id sso\nclaim email off\nsubject own\n}\n"})
	v := w.visitor()
	if got := v.by("acme"); got.StatusCode != http.StatusForbidden || !strings.Contains(got.body, "This account cannot be used here") || !strings.Contains(got.body, "zoe") {
		t.Errorf("the provider: %s: %s", got.Status, got.body)
	}
	if got := v.getOnce("http://" + w.site + "/"); got.StatusCode == http.StatusOK {
		t.Error("signed in all the same")
	}
	user := map[string]any{"subject": taken, "name": "zoe"}
	w.mustLoad(setup{local: local, global: "signin trusted shop {\nurl " + w.shop(user).URL + "\nsecret " + ownSecret + "\nsubject own\n}\n"})
	if got := v.by("shop"); got.StatusCode != http.StatusForbidden || !strings.Contains(got.body, "This account cannot be used here") {
		t.Errorf("the sign-in page: %s: %s", got.Status, got.body)
	}
	user["subject"] = "with spaces" // which its server is told, before the browser comes back
	if got := v.by("shop"); got.StatusCode != http.StatusBadRequest || got.body != "no ticket\n" {
		t.Errorf("the ticket: %s: %s", got.Status, got.body)
	}
}

// A user of this site who gets a subject later has it, in the configuration as in a
// file: the session and the grant of who had it count no longer.
func TestClass19ALocalUserAloneHasTheirSubjectEvenIfAnotherUserHadItBefore(t *testing.T) {
	const subject = "0f8fad5b-d9cb-469f-a165-70867728950e"
	file := filepath.Join(t.TempDir(), "users.jsonl")
	line := fmt.Sprintf(`{"name":"filed","hash":%q,"subject":%q}`+"\n", demoHash, subject)
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, local := range map[string]string{
		"by subject": "user later HASH {\nsubject " + subject + "\n}",
		"by name":    "user " + subject + " HASH",
		"in a file":  "users " + file,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := setup{handler: showSubject, options: "grace_period 10ms", global: subjectClients + backendBlock("accounts", accounts(t, map[string]string{"zoe": subject}), "subject own")}
			w.mustLoad(s)
			v := w.visitor()
			v.submit(v.get("http://"+w.site+"/"), "zoe", "x")
			held := v.tokensFrom("offline")
			if got := v.getOnce("http://" + w.site + "/"); got.body != subject+" is zoe" {
				t.Fatal(got.body)
			}
			s.local = local
			w.mustLoad(s)
			if got := v.getOnce("http://" + w.site + "/"); got.StatusCode == http.StatusOK {
				t.Errorf("still signed in: %s", got.body)
			}
			if got := v.refresh(held.Refresh); got.StatusCode == http.StatusOK {
				t.Error("still refreshed")
			}
			if v.valid(held.Access) {
				t.Error("the token still counts")
			}
			if got := w.visitor(); got.submit(got.get("http://"+w.site+"/"), "zoe", "x").StatusCode != http.StatusForbidden {
				t.Error("signed in again")
			}
		})
	}
}

// Before the method had own subjects any ID was valid there, also one that is the subject
// of another user: it does not make their sessions its user's.
func TestClass19WhoHasAnothersSubjectForAnIDHasNothingOfTheirs(t *testing.T) {
	const written = "0f8fad5b-d9cb-469f-a165-70867728950e"
	for name, local := range map[string]string{"derived": "", "written down": "user later HASH {\nsubject " + written + "\n}"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			subjects := map[string]string{"mallory": written}
			backend := accounts(t, subjects)
			site, page := "http://"+w.site+"/", "http://"+w.portal+"/sso/sessions"
			with := func(own string) {
				w.mustLoad(setup{
					local: local, handler: showSubject, options: "grace_period 10ms", global: subjectClients + backendBlock("accounts", backend, own),
				})
			}
			with("")
			victim, mallory := w.visitor(), w.visitor()
			user := map[bool]string{true: "demo", false: "later"}[local == ""]
			subject, _, _ := strings.Cut(victim.submit(victim.get(site), user, "demo").body, " ")
			subjects["mallory"] = subject
			if got := mallory.submit(mallory.get(site), "mallory", "x"); got.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s", got.Status, got.body)
			}
			held := victim.tokensFrom("offline")
			with("subject own")
			if list := mallory.get(page).body; strings.Count(list, `name="end" value="`) != 1 || strings.Contains(list, "Launcher") {
				t.Errorf("what another user has is on the page of sessions: %s", list)
			}
			mallory.send(mallory.request(http.MethodPost, page, "end=others"))
			if got := victim.getOnce(site); got.body != subject+" is "+user {
				t.Errorf("another user is signed out: %s", got.Status)
			}
			victim.refreshed(held.Refresh)
		})
	}
}

func TestClass19AClientAloneHasItsIDEvenIfAUserHadItAsSubjectBefore(t *testing.T) {
	w := newWorld(t)
	s := setup{handler: showSubject, options: "grace_period 10ms", global: subjectClients + backendBlock("accounts", accounts(t, map[string]string{"zoe": "17"}), "subject own")}
	w.mustLoad(s)
	v := w.visitor()
	v.submit(v.get("http://"+w.site+"/"), "zoe", "x")
	held := v.tokensFrom("offline")
	if got := v.getOnce("http://" + w.site + "/"); got.body != "17 is zoe" || !v.valid(held.Access) {
		t.Fatal(got.body)
	}
	s.global += "client 17 {\nsecret 0123456789abcdef\nredirect_uri https://shop.example/cb\n}\n"
	w.mustLoad(s)
	if got := v.getOnce("http://" + w.site + "/"); got.StatusCode == http.StatusOK {
		t.Errorf("still signed in: %s", got.body)
	}
	if got := v.refresh(held.Refresh); got.StatusCode == http.StatusOK {
		t.Error("still refreshed")
	}
	if v.valid(held.Access) {
		t.Error("the token still counts")
	}
}
