package protocol

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// reloads is how often the configuration changes under load.
const reloads = 10

// policies are changed with each reload.
var policies = []string{
	"session {\nidle 1h\nlifetime 2h\n}",
	"session {\nidle 3h\nlifetime 9h\n}\ncodes {\nlifetime 30s\n}",
	"codes {\nlifetime 50s\nper_session 64\n}",
	"",
}

func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	r := start(t)
	l := newLoad(t, r)
	for range 2 {
		l.work("gate request", r.signedIn(t, harness.Demo), l.gateRequest)
		l.work("code and token", r.signedIn(t, harness.Demo), l.codeAndToken)
		l.work("sign-in", nil, l.signIn)
	}
	for i := range reloads {
		// Each kind of work is done under this configuration, and begun under
		// the one before.
		l.awaitRound()
		next := *r.Caddyfile
		next.Options = policies[i%len(policies)]
		r.server.Reload(next.String())
	}
	l.awaitRound()
	l.end()
	for _, w := range l.workers {
		t.Logf("%s: %d", w.name, w.done.Load())
	}
}

// A load is workers that each do one thing again and again, and fail the test
// when it fails once.
type load struct {
	t       *testing.T
	rig     *rig
	workers []*worker
	ended   atomic.Bool
	wait    sync.WaitGroup
}

func newLoad(t *testing.T, r *rig) *load {
	t.Helper()
	l := &load{t: t, rig: r}
	t.Cleanup(l.end) // before the server ends
	return l
}

func (l *load) end() {
	l.ended.Store(true)
	l.wait.Wait()
}

type worker struct {
	name string
	done atomic.Int64
}

func (l *load) work(name string, browser *harness.Client, do func(*harness.Client) error) {
	w := &worker{name: name}
	l.workers = append(l.workers, w)
	l.wait.Go(func() {
		for !l.ended.Load() {
			if err := do(browser); err != nil {
				l.t.Errorf("%s: %v", name, err)
				return
			}
			w.done.Add(1)
		}
	})
}

// awaitRound waits until every worker has done its work twice more.
func (l *load) awaitRound() {
	l.t.Helper()
	targets := make([]int64, len(l.workers))
	for i, w := range l.workers {
		targets[i] = w.done.Load() + 2
	}
	harness.Eventually(l.t, "every worker goes on", func() bool {
		for i, w := range l.workers {
			if w.done.Load() < targets[i] && !l.t.Failed() {
				return false
			}
		}
		return true
	})
	if l.t.Failed() {
		l.t.FailNow()
	}
}

func (l *load) gateRequest(browser *harness.Client) error {
	resp, err := browser.TryFetch(l.rig.Gate + "/")
	if err != nil {
		return err
	}
	if resp.Status != http.StatusOK || !strings.Contains(resp.Body, `"X-Sso-User"`) {
		return fmt.Errorf("answered %d: %s", resp.Status, resp.Body)
	}
	return nil
}

func (l *load) codeAndToken(browser *harness.Client) error {
	const redirectURI = "http://127.0.0.1:1/callback"
	resp, err := browser.TryFetch(l.rig.Portal + "/api/oauth2/auth?" + url.Values{
		"client_id": {"1"}, "response_type": {"code"}, "redirect_uri": {redirectURI}, "scope": {"email"},
		"state": {"state-under-load"}, "audience": {"game"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode())
	if err != nil {
		return err
	}
	location, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || location.Query().Get("code") == "" {
		return fmt.Errorf("auth answered %d, to %q: %s", resp.Status, resp.Header.Get("Location"), resp.Body)
	}
	token, err := harness.NewClient(l.t).TryPost(l.rig.Portal+"/api/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"1"}, "code": {location.Query().Get("code")},
		"redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
	if err != nil {
		return err
	}
	if token.Status != http.StatusOK {
		return fmt.Errorf("the token endpoint answered %d: %s", token.Status, token.Body)
	}
	return nil
}

// signIn begins more sessions than a user may have: the oldest of them end, and
// are nobody else's.
func (l *load) signIn(*harness.Client) error {
	_, err := harness.NewClient(l.t).TrySignIn(l.rig.Gate+"/", harness.Admin)
	return err
}

func TestACodeAndASignInBegunBeforeAReloadEndAfterIt(t *testing.T) {
	t.Parallel()
	r := start(t)
	browser := r.signedIn(t, harness.Demo)
	g := newGame(t, r.Portal, "1", "email")
	code := g.codeOf(t, browser)
	other := harness.NewClient(t)
	form, err := other.Open(r.Gate + "/page").Form("password")
	if err != nil {
		t.Fatal(err)
	}
	next := *r.Caddyfile
	next.Options = policies[0]
	r.server.Reload(next.String())

	if resp := browser.Post(g.Endpoint.TokenURL, g.form(code)); resp.Status != http.StatusOK {
		t.Errorf("the code of before the reload was answered with %d: %s", resp.Status, resp.Body)
	}
	form.Values.Set("username", harness.Admin.Name)
	form.Values.Set("password", harness.Admin.Password)
	page, err := other.Submit(form)
	if err != nil {
		t.Fatal(err)
	}
	if page.URL.String() != r.Gate+"/page" || page.Status != http.StatusOK {
		t.Errorf("the sign-in of before the reload ended at %s with %d", page.URL, page.Status)
	}
}

func TestClass16AUserWhoIsRemovedLosesAccessWithTheReload(t *testing.T) {
	t.Parallel()
	r := start(t)
	removed, stays := r.signedIn(t, harness.Demo), r.signedIn(t, harness.Admin)
	g := newGame(t, r.Portal, "1", "email")
	code := g.codeOf(t, removed)

	next := *r.Caddyfile
	next.Users = []harness.User{harness.Admin}
	r.server.Reload(next.String())

	wantStatus(t, removed, r.Gate+"/", http.StatusUnauthorized)
	wantStatus(t, removed, r.ssoURL(), http.StatusUnauthorized)
	if resp := removed.Post(g.Endpoint.TokenURL, g.form(code)); resp.Status != http.StatusBadRequest || errorCode(t, resp) != "010-023" {
		t.Errorf("the code of a removed user was answered with %d: %s", resp.Status, resp.Body)
	}
	if _, err := harness.NewClient(t).TrySignIn(r.Gate+"/", harness.Demo); err == nil {
		t.Error("the removed user signed in again")
	}
	if user := r.userAtBackend(t, stays); user != harness.Admin.Name {
		t.Errorf("the other session is %q's", user)
	}
}

func TestGroupsChangeWithTheReloadForSessionsThatAreThere(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *harness.Caddyfile) { c.GateOptions = "require group staff" })
	browser := r.signedIn(t, harness.Admin)
	if groups := r.echo(t, browser).Header.Get("X-SSO-Groups"); groups != "players,staff" {
		t.Fatalf("the groups are %q", groups)
	}
	next := *r.Caddyfile
	for _, tt := range []struct {
		groups []string
		status int
		header string
	}{
		{[]string{"players"}, http.StatusForbidden, ""},
		{nil, http.StatusForbidden, ""},
		{[]string{"staff", "audit"}, http.StatusOK, "staff,audit"},
	} {
		next.Users = slices.Clone(r.Users)
		next.Users[1].Groups = tt.groups
		r.server.Reload(next.String())
		wantStatus(t, browser, r.Gate+"/", tt.status)
		if tt.status == http.StatusOK {
			if groups := r.echo(t, browser).Header.Get("X-SSO-Groups"); groups != tt.header {
				t.Errorf("the groups are %q, want %q", groups, tt.header)
			}
		}
	}
}

func TestClass16AWebSocketOfARemovedUserDoesNotOutliveTheReload(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *harness.Caddyfile) { c.ProxyOptions = "stream_close_delay 1h" })
	removed := openWebSocket(t.Context(), t, r, r.signedIn(t, harness.Demo))
	stays := openWebSocket(t.Context(), t, r, r.signedIn(t, harness.Admin))
	next := *r.Caddyfile
	next.Users = []harness.User{harness.Admin}
	r.server.Reload(next.String())
	select {
	case <-removed:
	case <-time.After(harness.Patience):
		t.Fatal("the WebSocket of the removed user goes on")
	}
	select {
	case <-stays:
		t.Error("the WebSocket of a user who is still there ended")
	default:
	}
}

func TestAWebSocketThatOutlivesReloadsEndsWithItsSession(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *harness.Caddyfile) { c.ProxyOptions = "stream_close_delay 1h" })
	browser := r.signedIn(t, harness.Demo)
	ended := openWebSocket(t.Context(), t, r, browser)
	for _, policy := range policies[:2] {
		next := *r.Caddyfile
		next.Options = policy
		r.server.Reload(next.String())
		wantStatus(t, browser, r.Gate+"/", http.StatusOK)
	}
	select {
	case <-ended:
		t.Fatal("the WebSocket did not outlive the reloads")
	default:
	}
	submit(t, browser, r.Portal+"/sso/account")
	wantEnded(t, r, []stream{{"WebSocket", ended}})
}
