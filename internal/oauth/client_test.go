package oauth_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestClientsThatCannotWorkAreRefused(t *testing.T) {
	good := func(change func(*oauth.Client)) *oauth.Client {
		c := &oauth.Client{ID: "1", Public: true, TokenAlg: keys.ES256, RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback)}}
		change(c)
		return c
	}
	none := func(*oauth.Client) {}
	for _, tt := range []struct {
		why  string
		list []*oauth.Client
	}{
		{"not a positive integer", []*oauth.Client{good(func(c *oauth.Client) { c.ID = "" })}},
		{"not a positive integer", []*oauth.Client{good(func(c *oauth.Client) { c.ID = "0" })}},
		{"not a positive integer", []*oauth.Client{good(func(c *oauth.Client) { c.ID = "01" })}},
		{"not a positive integer", []*oauth.Client{good(func(c *oauth.Client) { c.ID = "-1" })}},
		{"not a positive integer", []*oauth.Client{good(func(c *oauth.Client) { c.ID = "game" })}},
		{"not a positive integer", []*oauth.Client{good(func(c *oauth.Client) { c.ID = "9223372036854775808" })}},
		{"both public and has a secret", []*oauth.Client{good(func(c *oauth.Client) { c.Secret = oauth.NewSecret("x") })}},
		{"neither a secret nor", []*oauth.Client{good(func(c *oauth.Client) { c.Public = false })}},
		{"neither a secret nor", []*oauth.Client{good(func(c *oauth.Client) { c.Public, c.Secret = false, oauth.NewSecret("") })}},
		{"the secret is shorter than 16 characters", []*oauth.Client{good(func(c *oauth.Client) { c.Public, c.Secret = false, oauth.NewSecret("only fifteen ch") })}},
		{"no redirect_uri", []*oauth.Client{good(func(c *oauth.Client) { c.RedirectURIs = nil })}},
		{"token_alg", []*oauth.Client{good(func(c *oauth.Client) { c.TokenAlg = "HS256" })}},
		{"token_alg", []*oauth.Client{good(func(c *oauth.Client) { c.TokenAlg = "none" })}},
		{"audience or scope", []*oauth.Client{good(func(c *oauth.Client) { c.Audiences = []string{""} })}},
		{"audience or scope", []*oauth.Client{good(func(c *oauth.Client) { c.Scopes = []string{"a\x00"} })}},
		{"defined twice", []*oauth.Client{good(none), good(none)}},
		{"same token_alg", []*oauth.Client{
			good(func(c *oauth.Client) { c.Project = "p" }),
			good(func(c *oauth.Client) { c.ID, c.Project, c.TokenAlg = "2", "p", keys.RS256 }),
		}},
	} {
		if _, err := oauth.NewClients(tt.list); err == nil || !strings.Contains(err.Error(), tt.why) || !strings.HasPrefix(err.Error(), "client ") {
			t.Errorf("%v, want %q", err, tt.why)
		}
	}
	cs, err := oauth.NewClients([]*oauth.Client{
		good(func(c *oauth.Client) { c.Project = "p" }),
		good(func(c *oauth.Client) { c.ID, c.Project = "2", "p" }),
		good(func(c *oauth.Client) { c.ID, c.TokenAlg = "3", keys.RS256 }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if algs := cs.Algorithms(); !slices.Equal(algs, []keys.Algorithm{keys.ES256, keys.RS256}) {
		t.Errorf("the algorithms are %v", algs)
	}
	for id, want := range map[string]bool{"1": true, "p": true, "3": true, "": false, "P": false, "4": false} {
		if c, ok := cs.ByProject(id); ok != want || ok && c.ProjectID() != id && c.ID != id {
			t.Errorf("project %q: %v", id, ok)
		}
	}
}

func TestAClientIsAuthenticated(t *testing.T) {
	w := newWorld(t)
	unknown := authenticate(w, "99", secret)
	for _, tt := range []struct {
		name, id, secret string
		kind             oauth.Kind
	}{
		{"a wrong secret", "2", secret + " ", oauth.ClientAuth},
		{"a secret in another case", "2", strings.ToUpper(secret), oauth.ClientAuth},
		{"no secret", "2", "", oauth.ClientAuth},
		{"a very long secret", "2", strings.Repeat("x", 1<<20), oauth.ClientAuth},
		{"an unknown client without a secret", "99", "", oauth.ClientAuth},
		{"no ID", "", secret, oauth.ClientAuth},
		{"a wrong secret of a disabled client", "5", "x", oauth.ClientAuth},
	} {
		refusal := authenticate(w, tt.id, tt.secret)
		wantKind(t, refusal, tt.kind)
		if refusal != nil && refusal.Description != unknown.Description {
			t.Errorf("class 29: %s is told from an unknown client: %s", tt.name, refusal.Description)
		}
	}
	wantKind(t, authenticate(w, "1", "x"), oauth.ClientAuth)
	wantKind(t, authenticate(w, "3", ""), oauth.ClientDisabled)
	wantKind(t, authenticate(w, "5", secret), oauth.ClientDisabled)
	for id, s := range map[string]string{"1": "", "2": secret, "4": ""} {
		if c, refusal := w.Authenticate("192.0.2.1", id, s); refusal != nil || c.ID != id {
			t.Errorf("client %s: %v", id, refusal)
		}
	}
}

func authenticate(w *world, id, secret string) *oauth.Error {
	_, refusal := w.Authenticate("192.0.2.1", id, secret)
	return refusal
}

func TestASecretIsNotPrinted(t *testing.T) {
	s := oauth.NewSecret("hunter2")
	if !s.Equal("hunter2") || s.Equal("hunter") || s.Equal("") || (oauth.Secret{}).Equal("") || oauth.NewSecret("").Equal("") {
		t.Error("it compares wrongly")
	}
	c := oauth.Client{ID: "1", Secret: s}
	printed := []string{fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%v %+v %#v", c, &c, c)}
	for _, verb := range []string{"%d", "%x", "%08b", "%U"} {
		printed = append(printed, fmt.Sprintf(verb, c))
	}
	for _, v := range []any{s, c} {
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed = append(printed, string(encoded))
	}
	sum := fmt.Sprintf("%x", "hunter2")
	for _, p := range printed {
		for _, not := range []string{"hunter2", sum, "f52fbd32", "245 47 189", "0xf5, 0x2f"} { // SHA-256 begins with f52fbd32
			if strings.Contains(p, not) {
				t.Errorf("printed as %s", p)
			}
		}
	}
	if !strings.Contains(printed[0], "[redacted]") {
		t.Errorf("printed as %s", printed[0])
	}
}

func TestTextThatALogOrAPageMayHave(t *testing.T) {
	for text, clean := range map[string]bool{
		"": true, "abc ÄÖ 状態 🔑~": true, "a\x00": false, "a\n": false, "a\r": false, "a\t": false, "\x7f": false, "\u0085": false, "\u009f": false,
		"\u00a0": true, "\u2028": false, "\u2029": false, "\xff": false, "\xc0\xaf": false, "\xed\xa0\x80": false,
	} {
		if oauth.CleanText(text) != clean {
			t.Errorf("%q is clean: %v", text, !clean)
		}
	}
}

func TestTheAuditLogHasUserEventAndOrigin(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	core, logs := observer.New(zapcore.InfoLevel)
	audit := oauth.NewAudit(zap.New(core))
	for _, what := range []oauth.EventType{
		oauth.SignedInEvent, oauth.SignInFailed, oauth.SignInLimited, oauth.CodeIssued, oauth.CodeRedeemed, oauth.CodeReused,
		oauth.CodeRefused, oauth.AccessDenied, oauth.SessionEnded, oauth.GrantEnded, oauth.CodesExhausted,
		oauth.ClientRefused, oauth.ClientLimited,
	} {
		audit.Record(oauth.Event{What: what, User: ada, Client: w.client("1"), Session: in.Session, Grant: "g", From: "192.0.2.1", Why: "because"})
		line := logs.TakeAll()[0]
		level := zapcore.InfoLevel
		if what == oauth.CodeReused || what == oauth.CodesExhausted || what == oauth.SignInLimited || what == oauth.ClientLimited {
			level = zapcore.WarnLevel
		}
		want := map[string]any{"user": "ada", "subject": ada.Subject, "client": "1", "session": in.Session.ID(), "grant": "g", "from": "192.0.2.1", "why": "because"}
		if line.Message != string(what) || line.Level != level || fmt.Sprint(line.ContextMap()) != fmt.Sprint(want) {
			t.Errorf("%s: %v %v", what, line.Level, line.ContextMap())
		}
	}
	audit.Record(oauth.Event{What: oauth.SignInFailed})
	if line := logs.TakeAll()[0]; len(line.Context) != 0 {
		t.Errorf("what is not known is there: %v", line.ContextMap())
	}
	(*oauth.Audit)(nil).Record(oauth.Event{What: oauth.CodeIssued}) // writes nothing
	quiet, none := observer.New(zapcore.ErrorLevel)
	oauth.NewAudit(zap.New(quiet)).Record(oauth.Event{What: oauth.CodeReused})
	if none.Len() != 0 {
		t.Error("the level is not kept to")
	}
}
