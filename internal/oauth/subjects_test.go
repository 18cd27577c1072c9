package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// Seats belong to a user, who may have sessions under two subjects.
func TestSeatsOfBothSubjectsOfAUserCount(t *testing.T) {
	w := newWorld(t)
	before := ada
	before.Subject = "00000000-0000-5000-8000-000000000000"
	w.OtherSubject = func(u session.User) string {
		return map[string]string{ada.Subject: before.Subject, before.Subject: ada.Subject}[u.Subject]
	}
	r := w.product(2, true, nil)
	var all []oauth.SignedIn
	for _, u := range []session.User{before, ada, ada} {
		_, in := w.signIn(u)
		all = append(all, in)
		w.clock.Advance(time.Second)
	}
	for i, in := range all {
		if refusal := w.Admit(t.Context(), r, in, ""); (refusal != nil) != (i == 2) {
			t.Errorf("session %d: %v", i, refusal)
		}
	}
	live, err := w.LiveSessions(t.Context(), all[1])
	if err != nil || len(live) != 3 || live[0].Key() != all[2].Session.Key() {
		t.Fatalf("%d live sessions, %v", len(live), err)
	}
	taken, err := w.SeatsTaken(t.Context(), r.Product, live)
	if err != nil || len(taken) != 2 || slices.Contains(taken, all[2].Session.Key()) {
		t.Errorf("%d seats are taken, %v", len(taken), err)
	}
}

// A session of an old release does not have the ID, and a name is no replacement for
// it.
func TestAnUnknownIDIsNoClaim(t *testing.T) {
	w := newWorld(t)
	client := w.client("1")
	client.Claims = []oauth.CustomClaim{{Name: "player_id", Value: "{user.id}"}, {Name: "called", Value: "{user.name}"}}
	for id, want := range map[string]any{"": nil, "17": "17", "{user.email}": "{user.email}"} {
		u := ada
		u.ProviderID, u.Name, u.Email = id, "{user.id}", "ada@example.com"
		_, in := w.signIn(u)
		tokens, refusal := w.IssueTokens(t.Context(), &oauth.Authorization{Client: client, Audience: []string{"game"}}, in, "")
		if refusal != nil {
			t.Fatal(refusal)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.Access, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(raw, &claims); err != nil || claims["player_id"] != want || claims["called"] != "{user.id}" {
			t.Errorf("%q: %v, %v", id, claims, err)
		}
	}
}
