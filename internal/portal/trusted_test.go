package portal_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/signin"
)

// trustedFixture has local accounts and the sign-in page "game" of the
// operator's own, whose server the test plays.
type trustedFixture struct {
	*fixture
	secret signedhttp.Secret
}

func newTrustedFixture(t testing.TB) *trustedFixture {
	t.Helper()
	f := &trustedFixture{fixture: newFixture(t)}
	var err error
	if f.secret, err = signedhttp.NewSecret(remotetest.SharedSecret); err != nil {
		t.Fatal(err)
	}
	f.use(f.hosted.Methods[0], f.trusted("game"), f.trusted("shop"))
	return f
}

func (f *trustedFixture) trusted(id string) *remote.Trusted {
	f.t.Helper()
	method, err := remote.NewTrusted(remote.TrustedOptions{ID: id, Name: "The " + id, URL: "https://www." + id + ".example/sign-in?a=b", Secret: remotetest.SharedSecret})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := method.Open(f.store); err != nil {
		f.t.Fatal(err)
	}
	return method
}

// post sends a request to the portal as a server does, without cookies.
func (f *trustedFixture) post(id, body, signature string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, portal.TrustedPrefix+id+"/ticket", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(signedhttp.Header, signature)
	w := httptest.NewRecorder()
	f.hosted.Endpoint(r.URL.Path)(w, r)
	return w
}

func request(state, subject string) string {
	return fmt.Sprintf(`{"state":%q,"user":{"subject":%q,"name":"zoe","email":"zoe@game.example","email_verified":true,"groups":["players"]}}`, state, subject)
}

// ticket asks for a ticket, and returns where to send the browser with it.
func (f *trustedFixture) ticket(id, state, subject string) string {
	f.t.Helper()
	body := request(state, subject)
	w := f.post(id, body, f.secret.Sign([]byte(body), f.clock.Now()))
	want(f.t, w, http.StatusOK)
	var answer portal.TicketAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		f.t.Fatal(err)
	}
	back, found := strings.CutPrefix(answer.URL, issuer)
	if !found || !strings.Contains(back, "ticket="+answer.Ticket) || w.Header().Get("Cache-Control") != "no-store" {
		f.t.Fatalf("%v %+v", w.Header(), answer)
	}
	return back
}

func TestAPageOfOnesOwnSignsItsUserIn(t *testing.T) {
	f := newTrustedFixture(t)
	b := f.visitor()
	page := b.open(portal.RedirectToSignIn("", authorization))
	wantText(t, page, "The game")
	to := b.open(links(page, portal.StartPrefix+"game?")[0]).Header().Get("Location")
	if !strings.HasPrefix(to, "https://www.game.example/sign-in?a=b&state=") {
		t.Fatalf("leads to %s", to)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	w := b.open(f.ticket("game", u.Query().Get("state"), "17"))
	want(t, w, http.StatusOK)
	if to := leadsTo(w); to != "/api/oauth2/auth?"+authorization {
		t.Errorf("leads on to %s", to)
	}
	in, err := f.hosted.Server.SignedIn(t.Context(), b.session())
	if err != nil || in.User.Name != "zoe" || in.User.Email != "zoe@game.example" || in.User.Signin != "game" ||
		fmt.Sprint(in.User.Groups) != "[players]" || in.User.Subject != subjects.Derive("way", "game\x0017") {
		t.Errorf("%+v, %v", in.User, err)
	}
}

func TestClass27ATicketWorksOnceAndForAMinute(t *testing.T) {
	f := newTrustedFixture(t)
	for name, c := range map[string]struct {
		spoil  func(b *visitor, back string)
		status int
	}{
		"at once":            {func(*visitor, string) {}, http.StatusOK},
		"after 59 seconds":   {func(*visitor, string) { f.clock.Advance(59 * time.Second) }, http.StatusOK},
		"after a minute":     {func(*visitor, string) { f.clock.Advance(time.Minute) }, http.StatusBadGateway},
		"a second time":      {func(b *visitor, back string) { want(t, b.open(back), http.StatusOK) }, http.StatusConflict},
		"a second time, too": {func(_ *visitor, back string) { f.spend(back) }, http.StatusBadGateway},
	} {
		b := f.visitor()
		back := f.ticket("game", b.leave(b.open(portal.SignInPath), "game"), "17")
		c.spoil(b, back)
		before := b.session()
		if w := b.open(back); w.Code != c.status || (w.Code != http.StatusOK && b.session() != before) {
			t.Errorf("%s: status %d, session %q", name, w.Code, b.session())
		}
	}
}

// mix is an address with the ticket of one and the state of another.
func mix(back, state string) string {
	u, err := url.Parse(back)
	if err != nil {
		return ""
	}
	query := u.Query()
	query.Set("state", state)
	return u.Path + "?" + query.Encode()
}

func TestARaceForATicketHasOneWinner(t *testing.T) {
	f := newTrustedFixture(t)
	method := f.hosted.Methods[1].(*remote.Trusted)
	for range 50 {
		name, err := method.Issue(t.Context(), remote.TicketRequest{State: "s", User: map[string]any{"subject": "17"}})
		if err != nil {
			t.Fatal(err)
		}
		var won atomic.Int32
		var racing sync.WaitGroup
		for range 8 {
			racing.Go(func() {
				if _, err := method.Finish(t.Context(), signin.ProviderRequest{}, url.Values{"ticket": {name}, "state": {"s"}}); err == nil {
					won.Add(1)
				}
			})
		}
		racing.Wait()
		if n := won.Load(); n != 1 {
			t.Fatalf("%d won", n)
		}
	}
}

// spend trades the ticket of an address, as a race would.
func (f *trustedFixture) spend(back string) {
	f.t.Helper()
	u, err := url.Parse(back)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.hosted.Methods[1].(*remote.Trusted).Finish(f.t.Context(), signin.ProviderRequest{}, u.Query()); err != nil {
		f.t.Fatal(err)
	}
}

// An attacker has a state and a ticket of their own, or sees those of a victim.
func TestClass15ATicketSignsInTheBrowserThatLeftAndNoOther(t *testing.T) {
	f := newTrustedFixture(t)
	attacker, victim := f.visitor(), f.visitor()
	own := f.ticket("game", attacker.leave(attacker.open(portal.SignInPath), "game"), "attacker")
	theirs := victim.leave(victim.open(portal.SignInPath), "game")
	for name, back := range map[string]string{
		"the attacker's ticket and state":                 own,
		"the attacker's ticket with the state of its own": mix(own, theirs),
		"a state of one's own alone":                      portal.CallbackPrefix + "game?state=" + url.QueryEscape(theirs),
		"a ticket alone":                                  strings.Replace(own, "state=", "x=", 1),
		"a ticket that was made up":                       portal.CallbackPrefix + "game?ticket=AAAAAAAAAAAAAAAAAAAAAAAAAA&state=" + url.QueryEscape(theirs),
		"an empty ticket":                                 portal.CallbackPrefix + "game?ticket=&state=" + url.QueryEscape(theirs),
		"a ticket twice":                                  strings.Replace(f.ticket("game", theirs, "x"), "ticket=", "ticket=x&ticket=", 1),
		"a ticket of another method":                      f.ticket("shop", theirs, "y"),
		"a ticket of another method at this one":          strings.Replace(f.ticket("shop", theirs, "z"), "/shop?", "/game?", 1),
	} {
		if w := victim.open(back); w.Code < 400 || victim.session() != "" {
			t.Errorf("%s: status %d, session %q", name, w.Code, victim.session())
		}
	}
	// What the attacker did costs the victim nothing, nor the owner of a ticket.
	want(t, victim.open(f.ticket("game", theirs, "17")), http.StatusOK)
	want(t, attacker.open(own), http.StatusOK)
}

func TestClass22NobodyGetsATicketWithoutTheSecret(t *testing.T) {
	f := newTrustedFixture(t)
	b := f.visitor()
	body := request(b.leave(b.open(portal.SignInPath), "game"), "17")
	right := f.secret.Sign([]byte(body), f.clock.Now())
	other, err := signedhttp.NewSecret("another secret of some length")
	if err != nil {
		t.Fatal(err)
	}
	for name, signature := range map[string]string{
		"none":           "",
		"another secret": other.Sign([]byte(body), f.clock.Now()),
		"another body":   f.secret.Sign([]byte(request("x", "admin")), f.clock.Now()),
		"too old":        f.secret.Sign([]byte(body), f.clock.Now().Add(-61*time.Second)),
		"too new":        f.secret.Sign([]byte(body), f.clock.Now().Add(61*time.Second)),
		"cut off":        right[:len(right)-1],
	} {
		w := f.post("game", body, signature)
		if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "ticket\":") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	want(t, f.post("game", body, right), http.StatusOK)
	for _, again := range []string{right, strings.ToUpper(right), " " + right} {
		if w := f.post("game", body, again); w.Code != http.StatusConflict && w.Code != http.StatusUnauthorized {
			t.Errorf("%q came again: %d %s", again, w.Code, w.Body)
		}
	}
}

func TestARequestForATicketThatIsWrongSaysWhatIsRight(t *testing.T) {
	f := newTrustedFixture(t)
	for name, c := range map[string]struct {
		id, body string
		status   int
		text     string
	}{
		"no JSON":           {"game", "state=x", 400, "Expected"},
		"no state":          {"game", `{"user":{"subject":"17"}}`, 400, "Expected"},
		"a long state":      {"game", request(strings.Repeat("x", portal.MaxState+1), "17"), 400, "Expected"},
		"no user":           {"game", `{"state":"x"}`, 400, "subject is missing"},
		"no subject":        {"game", `{"state":"x","user":{"name":"zoe"}}`, 400, "subject is missing"},
		"a subject of 1":    {"game", `{"state":"x","user":{"subject":1}}`, 400, "subject is missing"},
		"too much":          {"game", strings.Repeat(" ", portal.MaxTicketRequest+1), 413, "larger than 64 KiB"},
		"an unknown method": {"none", request("x", "17"), 404, "no such sign-in method"},
		"a method without":  {"local", request("x", "17"), 404, "gives no tickets"},
	} {
		w := f.post(c.id, c.body, f.secret.Sign([]byte(c.body), f.clock.Now()))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	w := f.visitor().open(portal.TrustedPrefix + "game/ticket")
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost {
		t.Errorf("GET: %d %v", w.Code, w.Header())
	}
	for _, path := range []string{portal.TrustedPrefix, portal.TrustedPrefix + "game", portal.TrustedPrefix + "game/tickets", "/sso/trusted"} {
		if f.hosted.Endpoint(path) != nil {
			t.Errorf("%s is answered", path)
		}
	}
}

func TestAStoreThatIsAwayGivesAndTakesNoTicket(t *testing.T) {
	f := newTrustedFixture(t)
	b := f.visitor()
	state := b.leave(b.open(portal.SignInPath), "game")
	body := request(state, "17")
	for call := 1; call <= 2; call++ {
		f.store.FailCalls(func(n int) bool { return n == call })
		w := f.post("game", body, f.secret.Sign([]byte(body), f.clock.Now()))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("call %d: %d %s", call, w.Code, w.Body)
		}
		f.store.Down(false)
		f.clock.Advance(time.Second)
	}
	back := f.ticket("game", state, "17")
	for call := 1; call <= 3; call++ {
		f.store.FailCalls(func(n int) bool { return n == call })
		want(t, b.open(back), http.StatusServiceUnavailable)
	}
	f.store.Down(false)
	if b.session() != "" {
		t.Error("it signed in")
	}
}

func TestAPageOfOnesOwnIsAskedForWhatTheRequestDemands(t *testing.T) {
	f := newTrustedFixture(t)
	method := f.hosted.Methods[1].(*remote.Trusted)
	now := f.clock.Now()
	for want, d := range map[string]signin.ProviderRequest{
		"state=s":                       {State: "s"},
		"login_hint=zoe&state=s":        {State: "s", LoginHint: "zoe"},
		"prompt=select_account&state=s": {State: "s", SelectAccount: true},
		"prompt=login&state=s":          {State: "s", AuthAfter: now, SelectAccount: true},
	} {
		if to, err := method.Start(t.Context(), d); err != nil || to != "https://www.game.example/sign-in?a=b&"+want {
			t.Errorf("%s: %s, %v", want, to, err)
		}
	}
	for authTime, fits := range map[int64]bool{0: false, now.Unix() - 3600: false, now.Unix(): true} {
		name, err := method.Issue(t.Context(), remote.TicketRequest{State: "s", AuthTime: authTime, User: map[string]any{"subject": "17"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = method.Finish(t.Context(), signin.ProviderRequest{AuthAfter: now}, url.Values{"ticket": {name}, "state": {"s"}})
		if (err == nil) != fits {
			t.Errorf("auth_time %d: %v", authTime, err)
		}
	}
	b := f.visitor()
	state := b.leave(b.open(portal.SignInPath), "game")
	w := b.open(portal.CallbackPrefix + "game?" + url.Values{"error": {"access_denied"}, "state": {state}}.Encode())
	want(t, w, http.StatusForbidden)
	wantText(t, w, "was cancelled")
}
