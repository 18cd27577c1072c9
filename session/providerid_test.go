package session_test

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/session"
)

func TestASessionKeepsWhatAProviderCallsItsUserWholeOrNotAtAll(t *testing.T) {
	w := newWorld(t, session.Policy{})
	for name, id := range map[string]struct{ given, kept string }{
		"an ID":              {"10769150350006150715113082367", "10769150350006150715113082367"},
		"none":               {"", ""},
		"the longest":        {strings.Repeat("x", 255), strings.Repeat("x", 255)},
		"one that is longer": {strings.Repeat("x", 256), ""},
		"spaces and signs":   {"eve\u00a0 smith\u3000\u200b\u00ad|\U0001f511", "eve\u00a0 smith\u3000\u200b\u00ad|\U0001f511"},
		"one with a NUL":     {"eve\x00Mozilla", ""},
		"one not in UTF-8":   {"eve\xff", ""},
	} {
		for _, agent := range []string{"", "Mozilla"} {
			t.Run(name+agent, func(t *testing.T) {
				user := session.User{Subject: "subject of " + name + agent, ProviderID: id.given, Mark: "mark of " + agent}
				token, _, err := w.Begin(t.Context(), session.SignIn{User: user, Agent: agent})
				if err != nil {
					t.Fatal(err)
				}
				if u := w.check(token.Encode()).User(); u.ProviderID != id.kept || u.Mark != user.Mark || u.Avatar != "" {
					t.Errorf("kept %+v", u)
				}
				listed, err := w.OfUser(t.Context(), user.Subject)
				if err != nil || len(listed) != 1 {
					t.Fatalf("%d sessions: %v", len(listed), err)
				}
				if listed[0].Agent() != agent || listed[0].User().ProviderID != id.kept || listed[0].User().Mark != user.Mark {
					t.Errorf("listed with %q and %+v", listed[0].Agent(), listed[0].User())
				}
			})
		}
	}
}

// Without its mark, a session would live on under another credential.
func TestASessionDoesNotBeginWithAMarkThatCannotBeKept(t *testing.T) {
	w := newWorld(t, session.Policy{})
	for _, mark := range []string{strings.Repeat("x", 65), "a\x00b", "\xff"} {
		if _, _, err := w.Begin(t.Context(), session.SignIn{User: session.User{Subject: "a", Mark: mark}}); err == nil {
			t.Errorf("%q: it has begun", mark)
		}
	}
}
