package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// A thief signed in as ann before something became of her account: by
// the page, and by a launcher whose grant outlived its session.
type thief struct {
	*visitor
	page            string
	access, refresh string
}

func (w *world) thief() *thief {
	w.t.Helper()
	launcher := w.visitor()
	got := launcher.tokensOf("ann", "demo")
	r := launcher.request(http.MethodGet, "http://"+w.portal+"/api/oauth2/logout?sessions=sso", "")
	r.Header.Set("Authorization", "Bearer "+got.Access)
	if out := launcher.send(r); out.StatusCode != http.StatusNoContent {
		w.t.Fatalf("%s: %s", out.Status, out.body)
	}
	v := w.visitor()
	t := &thief{v, "http://" + w.site + "/", got.Access, got.Refresh}
	if in := v.submit(v.get(t.page), "ann", "demo"); in.body != "hello ann" || !t.in() || !t.valid(got.Access) {
		w.t.Fatalf("%s: %s", in.Status, in.body)
	}
	return t
}

func (t *thief) in() bool { return t.getOnce(t.page).StatusCode == http.StatusOK }

func (t *thief) wantOut(when string) {
	t.t.Helper()
	if t.in() || t.valid(t.access) {
		t.t.Errorf("%s a session or an access token counts", when)
	}
	if got := t.visitor.refresh(t.refresh); got.StatusCode != http.StatusBadRequest {
		t.t.Errorf("%s a refresh token counts: %s %s", when, got.Status, got.body)
	}
}

func TestClass14APasswordThatWasChangedEndsWhatBeganWithTheOther(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	path := w.usersFile(ann + strings.Replace(ann, "ann", "bob", 1))
	w.mustLoad(setup{local: "users " + path, global: loginClients})
	thief, bob := w.thief(), w.visitor()
	bob.submit(bob.get(thief.page), "bob", "demo")
	if out := mustSSO(t, "another\n", "user", "passwd", "ann", "--file", path); !strings.Contains(out, "ann") || !strings.Contains(out, "sessions") {
		t.Errorf("it does not say what happens to sessions: %q", out)
	}
	eventually(t, "the thief is signed out", func() bool { return !thief.in() })
	thief.wantOut("with another password")
	owner := w.visitor()
	if got := owner.submit(owner.get(thief.page), "ann", "another"); got.body != "hello ann" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	w.mustLoad(setup{local: "users " + path, global: loginClients + "\ncodes {\ncapacity 17\n}"})
	for name, v := range map[string]*visitor{"ann": owner, "bob": bob} {
		if got := v.getOnce(thief.page); got.body != "hello "+name {
			t.Errorf("%s is signed out: %s", name, got.Status)
		}
	}
}

func TestClass14APasswordOfTheCaddyfileThatWasChangedEndsWhatBeganWithTheOther(t *testing.T) {
	w := newWorld(t)
	user := func(hash string) setup { return setup{local: "user ann " + hash} }
	w.mustLoad(user(demoHash))
	again := user(demoHash)
	again.global = "codes {\ncapacity 17\n}"
	v, site := w.visitor(), "http://"+w.site+"/"
	v.submit(v.get(site), "ann", "demo")
	w.mustLoad(again)
	if got := v.getOnce(site); got.body != "hello ann" {
		t.Fatalf("a reload signs her out: %s", got.Status)
	}
	w.mustLoad(user(demoHash[:len(demoHash)-1] + "n"))
	if got := v.getOnce(site); got.StatusCode != http.StatusFound {
		t.Errorf("she is still in: %s %s", got.Status, got.body)
	}
}

// Subjects come from names.
func TestClass14AUserWhoGetsTheNameOfAnotherUserHasNothingOfTheirs(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	path := w.usersFile(ann)
	w.mustLoad(setup{local: "attempts {\nper_account 1000\n}\nusers " + path, global: loginClients}) // until the file is read
	first := w.thief()
	w.usersFile("\n")
	eventually(t, "the first is signed out", func() bool { return !first.in() })
	mustSSO(t, "another\n", "user", "add", "ann", "--file", path)
	second := w.visitor()
	eventually(t, "the second signs in", func() bool {
		return second.submit(second.get(first.page), "ann", "another").body == "hello ann"
	})
	first.wantOut("with another user's account")
}

func TestClass14WhatADisabledUserHadIsOverForGood(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	path := w.usersFile(ann)
	s := setup{local: "users " + path, global: loginClients}
	w.mustLoad(s)
	thief := w.thief()
	if out := mustSSO(t, "", "user", "disable", "ann", "--file", path); !strings.Contains(out, "sessions") {
		t.Errorf("it does not say what happens to sessions: %q", out)
	}
	eventually(t, "nothing is left in the store", func() bool { return len(w.sessions()) == 0 })
	mustSSO(t, "", "user", "enable", "ann", "--file", path)
	s.global += "\ncodes {\ncapacity 17\n}"
	w.mustLoad(s) // which reads the file at once
	thief.wantOut("when she is enabled again")
	owner := w.visitor()
	if got := owner.submit(owner.get(thief.page), "ann", "demo"); got.body != "hello ann" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

func TestWhatIsWrongWithTheFileOfUsersEndsNothingForGood(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	path := w.usersFile(ann)
	w.mustLoad(setup{local: "users " + path, global: loginClients})
	thief, bob := w.thief(), strings.Replace(ann, "ann", "bob", 1)
	w.usersFile(bob + strings.Replace(ann, `"groups"`, `"grups"`, 1))
	eventually(t, "her broken line is left out", func() bool { return !thief.in() })
	w.usersFile("")
	w.usersFile(bob + ann)
	eventually(t, "she is back", thief.in)
	if got := thief.visitor.refresh(thief.refresh); got.StatusCode != http.StatusOK {
		t.Errorf("the refresh token: %s %s", got.Status, got.body)
	}
}
