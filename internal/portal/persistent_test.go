package portal_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
)

// persistent gives client 1 a grant that outlives the session of a browser, and
// returns its refresh token.
func (b *visitor) persistent() string {
	b.f.t.Helper()
	server := b.f.hosted.Server
	in, err := server.SignedIn(b.f.t.Context(), b.session())
	if err != nil {
		b.f.t.Fatal(err)
	}
	client, _ := server.Clients.Get("1")
	tokens, refusal := server.IssueTokens(b.f.t.Context(), &oauth.Authorization{Client: client, Audience: []string{"game"}, Scopes: []string{"offline"}}, in, "")
	if refusal != nil {
		b.f.t.Fatal(refusal)
	}
	return tokens.Refresh
}

// refreshes reports whether a refresh token counts, and returns the next one.
func (f *fixture) refreshes(token string) (next string, ok bool) {
	f.t.Helper()
	client, _ := f.hosted.Server.Clients.Get("1")
	tokens, refusal := f.hosted.Server.Refresh(f.t.Context(), oauth.RefreshRequest{Client: client, Token: token})
	if refusal != nil {
		return "", false
	}
	return tokens.Refresh, true
}

var accessButton = regexp.MustCompile(`name="access" value="([^"]+)"`)

// access are the IDs of what applications have, by the sessions page.
func (b *visitor) access() []string {
	b.f.t.Helper()
	var ids []string
	for _, m := range accessButton.FindAllStringSubmatch(b.open(portal.SessionsPath).Body.String(), -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func (b *visitor) press(name, value string, headers ...string) int {
	b.f.t.Helper()
	if headers == nil {
		headers = sameOrigin
	}
	return b.do("POST", portal.SessionsPath, url.Values{name: {value}}, headers...).Code
}

func TestTheSessionsPageListsWhatOutlivesASession(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	b.try("demo", "demo password")
	if strings.Contains(b.open(portal.SessionsPath).Body.String(), "Applications that stay signed in") {
		t.Error("there is a list of nothing")
	}
	f.clock.Advance(time.Hour) // 04:04:05
	refresh := b.persistent()
	f.clock.Advance(time.Hour)
	w := b.open(portal.SessionsPath)
	wantText(t, w, "Applications that stay signed in", "<bdi>Demo game</bdi>", "Since <time datetime=\"2026-01-02T04:04:05Z\">", `aria-label="End access of Demo game"`, "Sign out everywhere else")
	if strings.Contains(w.Body.String(), "Last used") || strings.Count(w.Body.String(), "this browser") < 2 {
		t.Errorf("got %s", w.Body)
	}
	f.clock.Advance(time.Hour)
	if _, ok := f.refreshes(refresh); !ok {
		t.Fatal("the refresh token does not count")
	}
	wantText(t, b.open(portal.SessionsPath), "Last used <time datetime=\"2026-01-02T06:04:05Z\">")

	// As the release before stored it.
	key := "grant:" + b.access()[0]
	stored, _, err := f.store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	var grant map[string]any
	if err := json.Unmarshal(stored, &grant); err != nil || grant["begun"] == nil || grant["last_used"] == nil {
		t.Fatalf("%s: %v", stored, err)
	}
	delete(grant, "begun")
	delete(grant, "last_used")
	if stored, err = json.Marshal(grant); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Put(t.Context(), key, stored, time.Hour); err != nil {
		t.Fatal(err)
	}
	w = b.open(portal.SessionsPath)
	wantText(t, w, "Since <time datetime=\"2026-01-02T03:04:05Z\">") // of the sign-in
	if strings.Contains(w.Body.String(), "Last used") {
		t.Errorf("got %s", w.Body)
	}
}

func TestClass16SigningOutEverywhereElseEndsWhatWasGivenThere(t *testing.T) {
	f := newFixture(t)
	core, audit := observer.New(zap.InfoLevel)
	f.hosted.Server.Audit = oauth.NewAudit(zap.New(core))
	owner, thief, ended, other := f.visitor(), f.visitor(), f.visitor(), f.visitor()
	for _, b := range []*visitor{owner, thief, ended} {
		b.try("demo", "demo password")
	}
	other.try("Ann", "ann password")
	here, theirs, over, foreign := owner.persistent(), thief.persistent(), ended.persistent(), other.persistent()
	ended.do("POST", portal.SignOutPath, url.Values{}, sameOrigin...) // of its session alone
	if len(owner.access()) != 3 {
		t.Fatalf("the page lists %q", owner.access())
	}
	if code := owner.press("end", portal.EndOthers, "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("another site's form: %d", code)
	}
	for _, token := range []*string{&here, &theirs, &over} {
		next, ok := f.refreshes(*token)
		if !ok {
			t.Fatal("a grant ended that nobody asked to end")
		}
		*token = next
	}

	if code := owner.press("end", portal.EndOthers); code != http.StatusSeeOther {
		t.Errorf("status %d", code)
	}
	for name, token := range map[string]string{"of this session": here, "of an ended session": theirs, "of a session that was over": over} {
		if _, ok := f.refreshes(token); ok {
			t.Errorf("the grant %s goes on", name)
		}
	}
	if _, ok := f.refreshes(foreign); !ok {
		t.Error("another user's grant ended")
	}
	if f.who(owner.session()) != "demo" || f.who(thief.session()) != "" || len(owner.access()) != 0 {
		t.Errorf("owner %q, thief %q, %q", f.who(owner.session()), f.who(thief.session()), owner.access())
	}
	lines := audit.FilterMessage(string(oauth.GrantEnded)).All()
	if len(lines) != 1 || lines[0].ContextMap()["why"] != "signed out everywhere else: 3 persistent grants" || lines[0].ContextMap()["user"] != "demo" {
		t.Errorf("the audit log has %v", lines)
	}
}

func TestClass16SigningOutOfOnePlaceEndsWhatWasGivenThere(t *testing.T) {
	for name, tt := range map[string]struct {
		here bool // the place is this browser
	}{"this browser": {true}, "another": {false}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			owner, thief := f.visitor(), f.visitor()
			thief.try("demo", "demo password")
			theirs := thief.persistent()
			f.clock.Advance(time.Second)
			owner.try("demo", "demo password")
			here := owner.persistent()
			ids := listed(owner.open(portal.SessionsPath).Body.String()) // this browser's first
			end := ids[1]
			if tt.here {
				end = ids[0]
			}
			owner.press("end", end)
			if _, ok := f.refreshes(theirs); ok != tt.here {
				t.Errorf("the thief's grant goes on: %v", ok)
			}
			if _, ok := f.refreshes(here); ok == tt.here {
				t.Errorf("that of this browser goes on: %v", ok)
			}
		})
	}
}

func TestClass16AGrantEndsByItsButton(t *testing.T) {
	f := newFixture(t)
	core, audit := observer.New(zap.InfoLevel)
	f.hosted.Server.Audit = oauth.NewAudit(zap.New(core))
	owner, other := f.visitor(), f.visitor()
	owner.try("demo", "demo password")
	other.try("Ann", "ann password")
	first, second, foreign := owner.persistent(), owner.persistent(), other.persistent()
	ids := owner.access() // the newest first
	for _, id := range append(other.access(), "x", portal.EndOthers, listed(owner.open(portal.SessionsPath).Body.String())[0]) {
		if code := owner.press("access", id); code != http.StatusSeeOther {
			t.Errorf("ending %q: %d", id, code)
		}
	}
	if code := owner.press("access", ids[1], "Origin", "https://evil.example"); code != http.StatusForbidden {
		t.Errorf("another site's form: %d", code)
	}
	if audit.FilterMessage(string(oauth.GrantEnded)).Len() != 0 || len(owner.access()) != 2 {
		t.Fatal("a grant ended that nobody asked to end")
	}
	if code := owner.press("access", ids[1]); code != http.StatusSeeOther || !slices.Equal(owner.access(), ids[:1]) {
		t.Errorf("%d, and left are %q", code, owner.access())
	}
	_, firstLives := f.refreshes(first)
	_, secondLives := f.refreshes(second)
	_, foreignLives := f.refreshes(foreign)
	if firstLives || !secondLives || !foreignLives || f.who(owner.session()) != "demo" {
		t.Errorf("first %v, second %v, another user's %v", firstLives, secondLives, foreignLives)
	}
	lines := audit.FilterMessage(string(oauth.GrantEnded)).All()
	if len(lines) != 1 || lines[0].ContextMap()["grant"] != ids[1] || lines[0].ContextMap()["client"] != "1" || lines[0].ContextMap()["user"] != "demo" || lines[0].ContextMap()["why"] != "ended by its user" {
		t.Errorf("the audit log has %v", lines)
	}
}

func TestNobodySeesTheGrantsOfWhoHadTheNameBefore(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	b.try("demo", "demo password")
	b.persistent()
	f.use(f.accounts(local.Account{Name: "demo", Hash: f.work.Hash(t, 10, "another password")}))
	b = f.visitor()
	b.try("demo", "another password")
	if f.who(b.session()) != "demo" || len(b.access()) != 0 {
		t.Errorf("%q sees %q", f.who(b.session()), b.access())
	}
}

func TestAStoreThatIsDownEndsNothingAndSaysSo(t *testing.T) {
	for _, button := range []string{"end", "access"} {
		f := newFixture(t)
		b := f.visitor()
		b.try("demo", "demo password")
		refresh := b.persistent()
		value := portal.EndOthers
		if button == "access" {
			value = b.access()[0]
		}
		b.open(portal.SessionsPath)
		for n := 1; n < 4; n++ {
			f.store.FailCalls(func(call int) bool { return call >= n })
			if code := b.press(button, value); code != http.StatusServiceUnavailable {
				t.Errorf("%s, from call %d on: %d", button, n, code)
			}
			f.store.Down(false)
		}
		if code := b.press(button, value); code != http.StatusSeeOther {
			t.Errorf("%s, once more: %d", button, code)
		}
		if _, ok := f.refreshes(refresh); ok || f.who(b.session()) != "demo" {
			t.Errorf("%s: the grant goes on", button)
		}
	}
}
