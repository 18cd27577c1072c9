package gate

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/testclock"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

const (
	portalOrigin = "http://localhost:8080"
	siteOrigin   = "http://localhost:8081"
	httpsOrigin  = "https://game.example"
)

// users are those who may be signed in, by subject.
type users map[string]session.User

func (u users) Current(s session.User) (session.User, bool) {
	known, ok := u[s.Subject]
	return known, ok
}

// a fixture is a portal without its pages, and a gate.
type fixture struct {
	t     testing.TB
	clock *testclock.Clock
	store *faultystore.Store
	users users
	gate  *Gate

	// called counts the requests that reached the upstream, and last is the
	// latest of them.
	called int
	last   *http.Request
}

var demo = session.User{
	Subject: "11111111-1111-4111-8111-111111111111", Name: "demo", Email: "demo@example.com",
	Groups: []string{"players"}, Signin: "local",
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{t: t, clock: testclock.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), users: users{demo.Subject: demo}}
	f.store = faultystore.New(memory.New(memory.Options{Now: f.clock.Now}))
	cache := session.NewCache(f.store, session.CacheOptions{Now: f.clock.Now})
	verified := oauth.NewTokenCache(f.store, oauth.TokenCacheOptions{Now: f.clock.Now})
	t.Cleanup(func() {
		verified.Close()
		cache.Close()
		f.store.Close()
	})
	clients := []*oauth.Client{newClient(t, "1"), newClient(t, "2"), newBackend(t, "3"), newBackend(t, "4")}
	registered, err := oauth.NewClients(clients)
	if err != nil {
		t.Fatal(err)
	}
	sessions := session.New(cache, session.Policy{})
	ring := keys.NewRing(keystest.NewVault(), keys.Options{Now: f.clock.Now, Algorithms: []keys.Algorithm{keys.EdDSA}})
	pages, err := page.New(page.Brand{Name: "Studio"}, page.Options{AssetPrefix: AssetPrefix, Failed: func(err error) { t.Error("a page could not be rendered:", err) }})
	if err != nil {
		t.Fatal(err)
	}
	f.gate = &Gate{
		Server: &oauth.Server{
			Issuer: portalOrigin, Clients: registered, Sessions: sessions,
			Codes: codes.NewMemory(codes.Options{Now: f.clock.Now}), Keys: ring,
			Grants: oauth.NewGrants(f.store, sessions), Verified: oauth.NewVerifiedTokens(verified), Store: f.store,
			Users: f.users, Now: f.clock.Now,
		},
		Policy: Policy{Bearer: true},
		Keys:   ring, Pages: pages, Headers: headers(t, DefaultHeaderPrefix),
		PortalSignIn: func(ctx context.Context, returnTo string) (string, error) {
			sealed, err := ring.Seal(ctx, "return", []byte(returnTo))
			return portalOrigin + "/sso/sign_in?return=" + sealed, err
		},
		Shared:      table,
		From:        func(*http.Request) oauth.Origin { return "192.0.2.1" },
		OriginalURI: func(r *http.Request) string { return r.URL.RequestURI() },
		Lifetime:    24 * time.Hour,
		Now:         f.clock.Now,
		Log:         zap.NewNop(),
	}
	f.use(clients[0])
	return f
}

func newClient(t testing.TB, id string) *oauth.Client {
	c := &oauth.Client{
		ID: id, Name: "Demo game", Public: true, TokenAlg: keys.EdDSA,
		Audiences: []string{"game"}, Scopes: []string{"email", "offline"},
	}
	for _, raw := range []string{siteOrigin + "/oauth2/callback", httpsOrigin + "/oauth2/callback", "http://127.0.0.1/callback"} {
		uri, err := oauth.ParseRedirectURI(raw)
		if err != nil {
			t.Fatal(err)
		}
		c.RedirectURIs = append(c.RedirectURIs, uri)
	}
	for _, raw := range []string{siteOrigin + "/signed-out", siteOrigin + "/signed%2Dout", "https://www.example"} {
		u, err := oauth.ParseFailAuthURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		c.FailAuthURLs = append(c.FailAuthURLs, u)
	}
	return c
}

// newBackend is a client with tokens of its own.
func newBackend(t testing.TB, id string) *oauth.Client {
	c := newClient(t, id)
	c.Public, c.Secret = false, oauth.NewSecret("a secret of many letters")
	return c
}

// use makes the gate that of a client.
func (f *fixture) use(c *oauth.Client) {
	f.gate.Client = c
	f.gate.Sites = NewSites(parse(f.t, portalOrigin), portalCookie(f.t), c)
}

func portalCookie(t testing.TB) session.Cookie {
	return session.NewCookie("session", parse(t, portalOrigin), "")
}

// second is another gate on the same site, of the same client.
func (f *fixture) second(change func(*Gate)) *Gate {
	first := f.gate
	g := &Gate{
		Server: first.Server, Keys: first.Keys, Client: first.Client, Pages: first.Pages, Sites: first.Sites,
		Policy: first.Policy, Headers: first.Headers, Match: first.Match, AllowRawPath: first.AllowRawPath,
		PortalSignIn: first.PortalSignIn, Shared: first.Shared, From: first.From, OriginalURI: first.OriginalURI,
		Lifetime: first.Lifetime, Now: first.Now, Log: first.Log,
	}
	change(g)
	return g
}

func headers(t testing.TB, prefix string) Headers {
	h, err := NewHeaders(HeaderSettings{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func parse(t testing.TB, raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// table is what the handlers of a request share, as withTable gave it.
func table(ctx context.Context) map[string]any {
	shared, _ := ctx.Value(tableKey{}).(map[string]any)
	return shared
}

type tableKey struct{}

func withTable(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), tableKey{}, map[string]any{}))
}

// serve sends a request through gates to the upstream.
func (f *fixture) serve(r *http.Request, gates ...*Gate) *httptest.ResponseRecorder {
	if len(gates) == 0 {
		gates = []*Gate{f.gate}
	}
	w := httptest.NewRecorder()
	f.through(gates).ServeHTTP(w, r)
	return w
}

func (f *fixture) through(gates []*Gate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = withTable(r)
		for _, g := range gates {
			pass, ok := g.Handle(w, r)
			if !ok {
				return
			}
			defer pass.Release()
			r = pass.Request
		}
		f.called++
		f.last = r
		io.WriteString(w, "the upstream")
	})
}

// a browser keeps cookies by origin and name, and its session at the portal.
type browser struct {
	f       *fixture
	origin  string
	cookies map[string]map[string]string
	gates   []*Gate
	asked   int // how often the portal asked a signed-in user to sign in again
}

func (f *fixture) browser() *browser {
	return &browser{f: f, origin: siteOrigin, cookies: map[string]map[string]string{}}
}

// signIn begins a session at the portal.
func (b *browser) signIn(u session.User) *session.Session {
	token, sess, err := b.f.gate.Server.Sessions.Begin(b.f.t.Context(), session.SignIn{User: u})
	if err != nil {
		b.f.t.Fatal(err)
	}
	b.keep(portalOrigin, portalCookie(b.f.t).Name, token.Encode())
	return sess
}

func (b *browser) keep(origin, name, value string) {
	if b.cookies[origin] == nil {
		b.cookies[origin] = map[string]string{}
	}
	b.cookies[origin][name] = value
}

// request is one to the origin that the browser is on, with its cookies.
func (b *browser) request(path string) *http.Request {
	r := httptest.NewRequestWithContext(b.f.t.Context(), "GET", path, nil)
	_, r.Host, _ = strings.Cut(b.origin, "://")
	var cookies []string
	for _, name := range slices.Sorted(maps.Keys(b.cookies[b.origin])) {
		cookies = append(cookies, name+"="+b.cookies[b.origin][name])
	}
	if len(cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	return withTable(r)
}

// do sends a request to the origin that the browser is on. Headers are pairs.
func (b *browser) do(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := b.request(path)
	r.Method = method
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := b.f.serve(r, b.gates...)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies[b.origin], c.Name)
		} else {
			b.keep(b.origin, c.Name, c.Value)
		}
	}
	return w
}

// navigation is what browsers send with a page that a person asked for.
var navigation = []string{
	"Accept", "text/html,application/xhtml+xml", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none",
}

func (b *browser) open(path string) *httptest.ResponseRecorder {
	return b.do("GET", path, navigation...)
}

// portal answers a request to auth as the portal does, and returns
// the path of the callback with code and state.
func (b *browser) portal(location string) string {
	t := b.f.t
	t.Helper()
	query, ok := strings.CutPrefix(location, portalOrigin+"/api/oauth2/auth?")
	if !ok {
		t.Fatalf("expected a redirect to auth, got %q", location)
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	after, err := oauth.ParseAuthAfter(q.Get(oauth.AuthAfterParam))
	if err != nil {
		t.Fatal(err)
	}
	a, refusal := b.f.gate.Server.Clients.CheckAuthorize(oauth.AuthorizeRequest{
		AuthAfter:    after,
		ResponseType: q.Get("response_type"), ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"),
		State: q.Get("state"), Scope: oauth.SplitList(q.Get("scope")), Audience: oauth.SplitList(q.Get("audience")),
		CodeChallenge: q.Get("code_challenge"), CodeChallengeMethod: q.Get("code_challenge_method"),
		FailAuthURL: q.Get("fail_auth_url"),
	})
	if refusal != nil {
		t.Fatal("the portal refuses what the gate asks for:", refusal)
	}
	in, err := b.f.gate.Server.SignedIn(t.Context(), b.cookies[portalOrigin][portalCookie(t).Name])
	if err != nil {
		t.Fatal("the portal has no session:", err)
	}
	if !a.Accepts(in) { // the page asks the user
		b.signIn(in.User)
		if in, err = b.f.gate.Server.SignedIn(t.Context(), b.cookies[portalOrigin][portalCookie(t).Name]); err != nil {
			t.Fatal(err)
		}
		b.asked++
	}
	code, refusal := b.f.gate.Server.IssueCode(t.Context(), a, in, "192.0.2.1")
	if refusal != nil {
		t.Fatal(refusal)
	}
	callback, err := url.Parse(a.Callback(code))
	if err != nil {
		t.Fatal(err)
	}
	return callback.RequestURI()
}

// enter signs in and comes back, so that the browser has a site session.
func (b *browser) enter(u session.User) *session.Session {
	b.f.t.Helper()
	return b.enterBelow("/", u)
}

// enterBelow is enter where the policy is for a path.
func (b *browser) enterBelow(path string, u session.User) *session.Session {
	b.f.t.Helper()
	sess := b.signIn(u)
	w := b.open(path)
	w = b.open(b.portal(w.Header().Get("Location")))
	b.want(w, http.StatusFound)
	return sess
}

func (b *browser) want(w *httptest.ResponseRecorder, status int) {
	b.f.t.Helper()
	wantStatus(b.f.t, w, status)
}

func wantStatus(t testing.TB, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, expected %d; Location %q; body: %.300s", w.Code, status, w.Header().Get("Location"), w.Body)
	}
}

func (f *fixture) untouched() {
	f.t.Helper()
	if f.called != 0 {
		f.t.Fatal("the upstream was called")
	}
}

var errUnforeseen = errors.New("unforeseen")
