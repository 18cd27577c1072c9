package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// OpenID Connect Core section 3.1.2.1.
func TestAnIDTokenHintNamesWhoIsExpected(t *testing.T) {
	w := newWorld(t)
	adas, _ := w.signIn(ada)
	eves, _ := w.signIn(eve)
	hint := w.tokens(redemption(w.code(adas, app()))).ID
	foreign := w.tokens(serverRedemption(w.code(adas, server()))).ID // of another client
	access := w.tokens(redemption(w.code(adas, app()))).Access
	w.Clock.Advance(3 * time.Hour) // it has expired, which does not matter
	asked := func(cookie string, changes ...string) url.Values {
		a := w.Get("/oauth2/authorize?"+app(changes...).Encode(), cookie)
		if a.Status != http.StatusFound {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return parameters(t, a.Location())
	}
	for name, tt := range map[string]struct {
		cookie, hint string
		error        string
	}{
		"the same user":                  {adas, hint, ""},
		"another user":                   {eves, hint, "login_required"},
		"nobody":                         {"", hint, "login_required"},
		"a hint of another client":       {adas, foreign, "login_required"},
		"a hint that is an access token": {adas, access, "login_required"},
		"a hint that is none":            {adas, "x", "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			if back := asked(tt.cookie, "prompt", "none", "id_token_hint", tt.hint); back.Get("error") != tt.error || back.Has("code") != (tt.error == "") {
				t.Errorf("came back with %v", back)
			}
		})
	}
	// Where something may be shown, another user is asked to sign in as who is
	// expected, and a hint that says nothing is none.
	if back := asked(adas, "id_token_hint", hint); !back.Has("code") {
		t.Errorf("the same user came back with %v", back)
	}
	if back := asked(eves, "id_token_hint", "x"); !back.Has("code") {
		t.Errorf("with a hint that is none: %v", back)
	}
	hosted := w.Get("/oauth2/authorize?"+app("id_token_hint", hint).Encode(), eves).Location()
	query, found := strings.CutPrefix(hosted, w.URL+"/hosted?")
	if want := app().Encode() + "&auth_subject=" + ada.Subject; !found || query != want {
		t.Fatalf("sent to %s, want %s", hosted, want)
	}
	if again := w.Get("/oauth2/authorize?"+query, eves).Location(); again != hosted {
		t.Errorf("eve came back from there and went to %s", again)
	}
	if back := parameters(t, w.Get("/oauth2/authorize?"+query, adas).Location()); !back.Has("code") {
		t.Errorf("ada came back from there and went on with %v", back)
	}
}

func TestAHintThatWasNotSealedHereNamesNobody(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	hint := w.tokens(redemption(w.code(cookie, app()))).ID
	sealed := w.post("/oauth2/authorize", app("id_token_hint", hint)).Location()
	unreadable := w.Get(strings.Replace(sealed, "sealed_hint=", "sealed_hint=x", 1)+"&prompt=none", cookie)
	if back := parameters(t, unreadable.Location()); back.Get("error") != "login_required" {
		t.Errorf("a hint that was not sealed here: %v", back)
	}
}
