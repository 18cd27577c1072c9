package faults

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// A who is a kind of people.
type who string

const (
	known     who = "known session"   // of which the node has heard
	tokens    who = "known token"     // the same, of access tokens
	unknown   who = "unknown session" // which only the store and the other node know
	newcomer  who = "new sign-in"
	refresh   who = "refresh token"
	revoked   who = "revoked session" // signed out as the fault begins
	anonymous who = "nobody"          // without a session
)

const (
	people   = 5
	families = 6 // of refresh tokens
	ended    = 10
)

// A crowd is the people of a scene.
type crowd struct {
	known, unknown []*harness.Client
	families       []*family
	tokens         []*family         // of which nobody refreshes anything: a change would have to be read
	owners         []*harness.Client // who sign out,
	thieves        []*harness.Client // and who have a copy of their cookies: one for each node
	nobody         *harness.Client
}

// A family is the refresh tokens of one grant, of which a client has the newest
// that it got an answer with.
type family struct {
	client         *harness.Client
	access, newest string
	node           int // which it asked last
}

func (s *scene) gather(t *testing.T) {
	t.Helper()
	for range people {
		s.known = append(s.known, s.signedIn(t, 0, harness.Demo))
		s.unknown = append(s.unknown, s.signedIn(t, 1, harness.Demo)) // and asks there, until the fault
	}
	for range families {
		s.families = append(s.families, s.family(t))
	}
	for range people {
		s.tokens = append(s.tokens, s.family(t))
	}
	for i := range ended {
		owner := s.signedIn(t, i%2, harness.Admin)
		s.owners = append(s.owners, owner)
		for node := range 2 {
			thief := harness.NewClient(t)
			s.Lead(thief, node)
			s.copyCookies(t, owner, thief)
			if status := thief.Fetch(s.Gate + "/").Status; status != http.StatusOK {
				t.Fatalf("a copy of the cookies gets %d", status)
			}
			s.thieves = append(s.thieves, thief)
		}
	}
	s.nobody = harness.NewClient(t)
	s.Lead(s.nobody, 0)
}

func (s *scene) signedIn(t *testing.T, node int, u harness.User) *harness.Client {
	t.Helper()
	browser := harness.NewClient(t)
	s.Lead(browser, node)
	if page := browser.SignIn(s.Gate+"/", u); page.Status != http.StatusOK {
		t.Fatalf("signing in ended at %s with %d", page.URL, page.Status)
	}
	return browser
}

func (s *scene) copyCookies(t *testing.T, from, to *harness.Client) {
	t.Helper()
	for _, origin := range []string{s.Portal, s.Gate} {
		u, err := url.Parse(origin)
		if err != nil {
			t.Fatal(err)
		}
		to.Jar.SetCookies(u, from.Jar.Cookies(u))
	}
}

// signOut is done before the answer comes, so it is acknowledged.
func (s *scene) signOut(t *testing.T) {
	t.Helper()
	for _, owner := range s.owners {
		form, err := owner.Open(s.Portal + "/sso/account").Form("")
		if err != nil {
			t.Fatal(err)
		}
		if page, err := owner.Submit(form); err != nil || page.Status != http.StatusOK {
			t.Fatalf("signing out: %v, %v", page, err)
		}
	}
	s.signedOut = true
}

// The example of RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" //nolint:gosec // no credential
	callback  = "http://127.0.0.1/callback"
)

func (s *scene) family(t *testing.T) *family {
	t.Helper()
	browser := s.signedIn(t, 0, refresher)
	f := &family{client: harness.NewClient(t)}
	answer := browser.Fetch(s.Portal + "/api/oauth2/auth?" + url.Values{
		"client_id": {"1"}, "state": {"state-of-a-family"}, "response_type": {"code"}, "redirect_uri": {callback},
		"scope": {"offline"}, "audience": {"game"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode())
	s.Lead(f.client, 0)
	if !f.take(t, f.client.Post(s.Portal+"/api/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"1"}, "code": {answer.Location(t).Query().Get("code")},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	})) {
		t.Fatal("the code gave no tokens")
	}
	return f
}

// take keeps the tokens of an answer, if it has any.
func (f *family) take(t *testing.T, answer *harness.Response) bool {
	t.Helper()
	if answer.Status != http.StatusOK {
		return false
	}
	var got struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	answer.JSON(t, &got)
	f.newest = got.RefreshToken
	if f.access == "" {
		f.access = got.AccessToken
	}
	return true
}

// refresh trades the newest token, at the other node than before.
func (s *scene) refresh(t *testing.T, f *family, a *Answers) {
	t.Helper()
	f.node = 1 - f.node
	s.Lead(f.client, f.node)
	began := time.Now()
	answer, err := f.client.TryPost(s.Portal+"/api/oauth2/token", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"1"}, "refresh_token": {f.newest},
	})
	if err != nil {
		a.add(NoAnswer, time.Since(began), nil)
		return
	}
	f.take(t, answer)
	a.add(kindOf(answer.Status), time.Since(began), answer.Header)
}

// bearer asks who has a family's first access token.
func (s *scene) bearer(f *family, a *Answers) {
	began := time.Now()
	r, err := http.NewRequest(http.MethodGet, s.Portal+"/api/users/me", nil)
	if err != nil {
		panic(err) // the address is our own
	}
	r.Header.Set("Authorization", "Bearer "+f.access)
	answer, err := f.client.Do(r)
	if err != nil {
		a.add(NoAnswer, time.Since(began), nil)
		return
	}
	a.add(kindOf(answer.Status), time.Since(began), answer.Header)
}

// signIn is what someone new gets who signs in: the status that it ends with.
func (s *scene) signIn(t *testing.T, u harness.User, a *Answers) {
	t.Helper()
	began := time.Now()
	browser := harness.NewClient(t)
	defer browser.Close()
	s.Lead(browser, 0)
	kind := s.enter(browser, u)
	a.add(kind, time.Since(began), nil)
}

// enter signs in where a page leads.
func (s *scene) enter(browser *harness.Client, u harness.User) Kind {
	answer, err := browser.TryOpen(s.Gate + "/")
	if err == nil && answer.Status == http.StatusOK {
		var form *harness.Form
		if form, err = answer.Form("password"); err == nil {
			form.Values.Set("username", u.Name)
			form.Values.Set("password", u.Password)
			answer, err = browser.Submit(form)
		}
	}
	switch {
	case err != nil:
		return NoAnswer
	case answer.Status == http.StatusOK && answer.URL.Path == "/sso/sign_in":
		return SignedOut // the page to sign in, once more
	case answer.Status == http.StatusOK && answer.URL.String() != s.Gate+"/":
		return Kind("ended at " + answer.URL.Path)
	}
	return kindOf(answer.Status)
}

func (s *scene) fetch(browser *harness.Client, a *Answers) {
	began := time.Now()
	answer, err := browser.TryFetch(s.Gate + "/")
	if err != nil {
		a.add(NoAnswer, time.Since(began), nil)
		return
	}
	a.add(kindOf(answer.Status), time.Since(began), answer.Header)
}

// load lets everybody do what they do, for a while.
func (s *scene) load(t *testing.T, d time.Duration) map[who]*Answers {
	t.Helper()
	got := make(map[who]*Answers)
	var all sync.WaitGroup
	every := func(pause time.Duration, w who, do func(*Answers)) {
		if got[w] == nil {
			got[w] = new(Answers)
		}
		a := got[w]
		all.Go(func() {
			ticker := time.NewTicker(pause)
			defer ticker.Stop()
			for end := time.Now().Add(d); time.Now().Before(end); <-ticker.C {
				do(a)
			}
		})
	}
	for i := range people {
		every(50*time.Millisecond, known, func(a *Answers) { s.fetch(s.known[i], a) })
		every(50*time.Millisecond, unknown, func(a *Answers) { s.fetch(s.unknown[i], a) })
	}
	for _, f := range s.families {
		every(200*time.Millisecond, refresh, func(a *Answers) { s.refresh(t, f, a) })
	}
	for _, f := range s.tokens {
		every(50*time.Millisecond, tokens, func(a *Answers) { s.bearer(f, a) })
	}
	for _, u := range newcomers {
		every(time.Second, newcomer, func(a *Answers) { s.signIn(t, u, a) })
	}
	every(100*time.Millisecond, anonymous, func(a *Answers) { s.fetch(s.nobody, a) })
	if s.signedOut {
		// Anyone who is out would stay out: what matters is who comes back.
		for _, thief := range s.thieves {
			every(250*time.Millisecond, revoked, func(a *Answers) { s.fetch(thief, a) })
		}
	}
	all.Wait()
	return got
}
