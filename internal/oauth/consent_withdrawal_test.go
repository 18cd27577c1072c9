package oauth_test

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// allowedCode is a code of client 6 with the scope offline. Its user has allowed it.
func (w *world) allowedCode(in oauth.SignedIn) oauth.CodeRequest {
	w.t.Helper()
	w.allow(w.asks("email", "offline"), in)
	code, refusal := w.IssueCode(w.t.Context(), w.asks("email", "offline"), in, "")
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return oauth.CodeRequest{Client: w.client("6"), RedirectURI: callback, Verifier: verifier, Code: code}
}

func TestClass16NoGrantOutlivesAConsentThatIsWithdrawnWhileItBegins(t *testing.T) {
	for name, withdraw := range map[string]func(w *world, in oauth.SignedIn) error{
		"withdrawn":                  func(w *world, in oauth.SignedIn) error { return w.Withdraw(w.t.Context(), in, "6", "", "") },
		"signed out everywhere else": func(w *world, in oauth.SignedIn) error { return w.SignOutElsewhere(w.t.Context(), in, "") },
	} {
		t.Run(name, func(t *testing.T) {
			w, m := newMeanwhile(t)
			asking(t, w)
			_, in := w.signIn(ada)
			code := w.allowedCode(in)
			m.happens = func() {
				if err := withdraw(w, in); err != nil {
					t.Error(err)
				}
			}
			_, refusal := w.ExchangeCode(t.Context(), code)
			wantKind(t, refusal, oauth.InvalidGrant)
			if left, err := w.PersistentGrants(t.Context(), in); err != nil || len(left) > 0 {
				t.Errorf("%d persistent grants are left, %v", len(left), err)
			}
			if w.getsCode(w.asks("email"), in) {
				t.Error("a code without consent")
			}
		})
	}
}

// An outage uses up no code, and no grant begins without consent.
func TestAnOutageOfConsentsUsesUpNoCode(t *testing.T) {
	w, m := newMeanwhile(t)
	asking(t, w)
	_, in := w.signIn(ada)
	code := w.allowedCode(in)
	m.fails = "consent:"
	_, refusal := w.ExchangeCode(t.Context(), code)
	wantKind(t, refusal, oauth.Internal)
	m.fails = ""
	if _, refusal := w.ExchangeCode(t.Context(), code); refusal != nil {
		t.Error(refusal)
	}
}

// A user may have sessions, grants and consents under two subjects.
func TestClass16AConsentIsWithdrawnUnderBothSubjectsOfItsUser(t *testing.T) {
	before := ada
	before.Subject = "00000000-0000-5000-8000-000000000000"
	for name, withdraw := range map[string]func(w *world, in, older oauth.SignedIn, grant string) error{
		"withdrawn": func(w *world, in, _ oauth.SignedIn, _ string) error {
			return w.Withdraw(w.t.Context(), in, "6", "", "")
		},
		"with its grant": func(w *world, in, _ oauth.SignedIn, grant string) error {
			return w.EndAccess(w.t.Context(), in, grant, "", "")
		},
		"with its session": func(w *world, in, older oauth.SignedIn, _ string) error {
			_, err := w.EndSessionAndGrants(w.t.Context(), oauth.SignedIn{Session: older.Session, User: in.User}, "", "")
			return err
		},
		"signed out everywhere else": func(w *world, in, _ oauth.SignedIn, _ string) error { return w.SignOutElsewhere(w.t.Context(), in, "") },
	} {
		t.Run(name, func(t *testing.T) {
			w := asking(t, newWorld(t))
			w.OtherSubject = func(u session.User) string {
				return map[string]string{ada.Subject: before.Subject, before.Subject: ada.Subject}[u.Subject]
			}
			_, older := w.signIn(before)
			if _, refusal := w.ExchangeCode(t.Context(), w.allowedCode(older)); refusal != nil {
				t.Fatal(refusal)
			}
			_, in := w.signIn(ada)
			grants, err := w.PersistentGrants(t.Context(), in)
			if err != nil || len(grants) != 1 {
				t.Fatalf("%d grants, %v", len(grants), err)
			}
			if err := withdraw(w, in, older, grants[0].ID); err != nil {
				t.Fatal(err)
			}
			if left := w.consents(); len(left) > 0 {
				t.Errorf("%d consents are left", len(left))
			}
		})
	}
}
