package signin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAnOwnSubjectNeverLooksDerived(t *testing.T) {
	for _, derived := range []string{
		deriveSubject("local", "demo"), deriveSubject("way", "accounts\x0017"), deriveSubject("oidc", "https://acme.example\x00ann"),
	} {
		for _, spelled := range []string{
			derived, strings.ToUpper(derived), "{" + derived + "}", "urn:uuid:" + derived, "URN:UUID:" + strings.ToUpper(derived), derived[:8] + strings.ToUpper(derived[8:]),
		} {
			if checkOwnSubject(spelled) == nil {
				t.Errorf("%s was taken", spelled)
			}
		}
	}
	for _, refused := range []string{"", " ", "a b", "17\n", "zoë", "a\x7fb", strings.Repeat("x", 256)} {
		if checkOwnSubject(refused) == nil {
			t.Errorf("%q was taken", refused)
		}
	}
	for _, own := range []string{
		"17", "0", "zoe@game.example", "auth0|5f7c8ec7c33c6c004bbafe82", "Steam:76561198000000000", "f:1b4e28ba:zoe", "uid=zoe,ou=people",
		"40db2ea4-5c1c-11e6-a3ff-005056a0e04a", "0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E",
		"01890a5d-ac96-774b-bcce-b302099a8057", "0f8fad5bd9cb569fa16570867728950e", // a hash, as MD5 makes them
		"0f8fad5b-d9cb-569f-c165-70867728950e", strings.Repeat("x", 255),
	} {
		if err := checkOwnSubject(own); err != nil {
			t.Errorf("%s: %v", own, err)
		}
	}
}

func owning(o *ProviderOptions) { o.OwnSubjects = true }

// Class 16: what a provider ends is ended under the subject of before, too.
func TestClass16AProviderEndsWhatBeganUnderEitherSubject(t *testing.T) {
	for _, claims := range []map[string]any{{"sub": "d|1"}, {"sub": "d|1", "sid": "s"}} {
		f := newAtProvider(t)
		signIn := merged(claims, map[string]any{"preferred_username": "dora"})
		before := f.signsIn(signIn)
		f.acme = f.provider.way(owning, func(o *ProviderOptions) { o.Now = f.clock.Now })
		f.use(f.hosted.Methods[0], f.acme)
		since := f.signsIn(signIn)
		if old, now := f.signedIn(before).Subject, f.signedIn(since).Subject; old == now || now != "d|1" {
			t.Fatalf("the subjects are %s and %s", old, now)
		}
		others := f.signsIn(map[string]any{"sub": "e|1", "preferred_username": "eve"})
		want(t, f.logsOut(f.logoutToken(map[string]any{"sub": "d|1"})), http.StatusOK)
		if f.who(before.session()) != "" || f.who(since.session()) != "" || f.who(others.session()) != "eve" {
			t.Errorf("%v: left are %q and %q, and %q", claims, f.who(before.session()), f.who(since.session()), f.who(others.session()))
		}
	}
}

// Class 18: whoever a backend says that a wrong password was for, no account of
// another way has its attempts used up.
func TestClass18ABackendUsesUpNoAttemptsOfALocalUser(t *testing.T) {
	f, b := newFixture(t), newOwnBackend(t)
	method := b.way("accounts", time.Minute)
	method.UseOwnSubjects()
	f.use(f.hosted.Methods[0], method)
	b.says(http.StatusUnauthorized, fmt.Sprintf(`{"error":"wrong","user":{"subject":%q}}`, deriveSubject("local", "demo")))
	for i := range 20 {
		f.from = "192.0.2.7"
		f.visitor().try(fmt.Sprintf("somebody%d", i), "wrong")
	}
	f.from = "192.0.2.8"
	v := f.visitor()
	want(t, v.try("demo", "demo password"), http.StatusOK)
	if f.who(v.session()) != "demo" {
		t.Error("the local user was kept out")
	}
}

// So that names in ASCII, which are looked up at every request, need no PRECIS.
func TestPRECISChangesNothingOfPrintableASCIIButTheCase(t *testing.T) {
	check := func(name string) {
		t.Helper()
		if c, err := canonical(name); err != nil || c != strings.ToLower(name) {
			t.Errorf("%q becomes %q, %v", name, c, err)
		}
		if c := compatible(name); c != name {
			t.Errorf("%q is the same as %q", name, c)
		}
	}
	all := ""
	for c := '!'; c <= '~'; c++ {
		all += string(c)
		check(string(c))
	}
	check(all)
	for i := range len(all) {
		check(all[i:] + all[:i])
	}
}
