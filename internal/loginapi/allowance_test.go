package loginapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
)

// five is the client whose tokens cost least to sign.
var five = []string{"client_id", "5"}

// stored is how many values the store holds.
func (w *world) stored() int {
	w.T.Helper()
	n := 0
	if err := w.Store.Scan(w.T.Context(), "", func(string, []byte) error { n++; return nil }); err != nil {
		w.T.Fatal(err)
	}
	return n
}

// One account cannot fill the store for all, however it gets its grants.
func TestClass35WhatOneUserMakesTheStoreKeepIsBounded(t *testing.T) {
	const most = 640
	revoked := func(w *world, access string) {
		if a := w.revoke(revoking(access, five...)); a.Status != http.StatusOK {
			w.T.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	for name, c := range map[string]struct {
		stored bool // whether codes are in the store
		give   func(w *world, cookie string) answer
	}{
		"codes in the store": {true, func(w *world, cookie string) answer {
			return w.token(redemption(w.code(cookie, game(five...)), five...))
		}},
		"codes in memory, with scope offline": {false, func(w *world, cookie string) answer {
			return w.token(redemption(w.code(cookie, game(append(five, "scope", "offline")...)), five...))
		}},
		"name and password": {false, func(w *world, _ string) answer {
			return w.login(loginPath+"/token", game(append(five, "scope", "offline")...), right)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Server.Limits = codes.Limits{}
			if c.stored {
				w.Server.Codes = codes.NewStored(w.Store, codes.Options{Now: w.Clock.Now})
			}
			cookie, _ := w.signIn(ada)
			for i := range most {
				a := c.give(w, cookie)
				if a.Status != http.StatusOK {
					t.Fatalf("after %d: %d %s", i, a.Status, a.Body)
				}
				access, _ := w.access(a)
				revoked(w, access)
			}
			wantTooMany(t, c.give(w, cookie))
			if n := w.stored(); n > 2*most+200 {
				t.Errorf("the store holds %d values", n)
			}
			w.Clock.Advance(6 * time.Second)
			if a := c.give(w, cookie); a.Status != http.StatusOK {
				t.Errorf("after Retry-After: %d %s", a.Status, a.Body)
			}
			wantTooMany(t, c.give(w, cookie))
		})
	}
}

func wantTooMany(t *testing.T, a answer) {
	t.Helper()
	if a.Header.Get("Retry-After") != "6" {
		t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
	}
	a.Header.Del("Set-Cookie") // of a sign-in by name and password
	wantError(t, a, 429, "002-058", "The user was given too many tokens within an hour.")
}

// A user who has reached the limit loses neither the code nor what they
// have, and takes nothing from others.
func TestBeyondTheAllowanceNothingIsLost(t *testing.T) {
	w := newWorld(t)
	w.Server.Limits = codes.Limits{}
	cookie, _ := w.signIn(ada)
	access, refresh := w.tokens(cookie, "offline")
	for range 639 {
		w.access(w.token(redemption(w.code(cookie, game(five...)), five...)))
	}
	code := w.code(cookie, game(five...))
	wantTooMany(t, w.token(redemption(code, five...)))
	w.wantValid(true, access)
	w.refreshToken(w.token(refreshing(refresh)))
	eve := ada
	eve.Subject, eve.Name = "0f8fad5b-d9cb-469f-a165-70867728950e", "eve"
	theirs, _ := w.signIn(eve)
	w.access(w.token(redemption(w.code(theirs, game()))))
	w.Clock.Advance(6 * time.Second)
	access, _ = w.access(w.token(redemption(code, five...)))
	w.wantValid(true, access)
}

// Of many equal requests one begins a grant, and one is counted.
func TestARedemptionThatComesTwiceCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.Server.Limits = codes.Limits{}
	cookie, _ := w.signIn(ada)
	for range 320 {
		code := w.code(cookie, game(five...))
		w.access(w.token(redemption(code, five...)))
		w.token(redemption(code, five...))
	}
	for range 320 {
		w.access(w.token(redemption(w.code(cookie, game(five...)), five...)))
	}
	wantTooMany(t, w.token(redemption(w.code(cookie, game(five...)), five...)))
}
