package portal_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/local/localtest"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

const issuer = "http://localhost:8080"

type fixture struct {
	t      testing.TB
	clock  *providertest.Clock
	store  *faultystore.Store
	work   *localtest.Hashes
	hosted *portal.Hosted
	from   oauth.Origin
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{t: t, clock: new(providertest.Clock), from: "192.0.2.1", work: &localtest.Hashes{Passwords: map[string]string{}}}
	f.clock.Ms.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
	f.store = faultystore.New(memory.New(memory.Options{Now: f.clock.Now}))
	cache := session.NewCache(f.store, session.CacheOptions{Now: f.clock.Now})
	t.Cleanup(func() {
		cache.Close()
		f.store.Close()
	})
	method := f.accounts(
		local.Account{Name: "demo", Hash: f.work.Hash(t, 10, "demo password"), Email: "demo@example.com", Groups: []string{"players"}},
		local.Account{Name: "Ann", Hash: f.work.Hash(t, 10, "ann password")},
		local.Account{Name: "costly", Hash: f.work.Hash(t, 12, "costly password"), Email: "costly@example.com"},
	)
	client := &oauth.Client{
		ID: "1", Name: "Demo game", Public: true, TokenAlg: keys.EdDSA, Audiences: []string{"game"}, Scopes: []string{"email", "offline"},
	}
	uri, err := oauth.ParseRedirectURI("https://game.example/oauth2/callback")
	if err != nil {
		t.Fatal(err)
	}
	client.RedirectURIs = []oauth.RedirectURI{uri}
	clients, err := oauth.NewClients([]*oauth.Client{client})
	if err != nil {
		t.Fatal(err)
	}
	sessions := session.New(cache, session.Policy{})
	ring := keys.NewRing(keystest.NewVault(), keys.Options{Now: f.clock.Now, Algorithms: []keys.Algorithm{keys.EdDSA}})
	pages, err := page.New(page.Brand{Name: "Studio"}, page.Options{Failed: func(err error) { t.Error("a page could not be rendered:", err) }})
	if err != nil {
		t.Fatal(err)
	}
	site, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	f.hosted = &portal.Hosted{
		Server: &oauth.Server{
			Issuer: issuer, Clients: clients, Store: f.store, Sessions: sessions, Codes: codes.NewMemory(codes.Options{Now: f.clock.Now}),
			Keys: ring, Grants: oauth.NewGrants(f.store, sessions), Users: methods.List{method}, Now: f.clock.Now,
		},
		Store: f.store, Keys: ring, Methods: methods.List{method}, Attempts: attemptlimit.New(),
		Limits: signin.AttemptLimits{PerAccount: 10, PerAddress: 100, Every: 15 * time.Minute},
		Pages:  pages, Session: session.NewCookie("session", site, ""), Browser: session.NewCookie("browser", site, ""),
		Lifetime: 24 * time.Hour,
		Requests: []portal.Request{{Page: portal.SignInPath, Continue: "/api/oauth2/auth", Check: func(_ context.Context, rawQuery string) (*oauth.Authorization, *oauth.Error) {
			q, err := url.ParseQuery(rawQuery)
			if err != nil {
				return nil, &oauth.Error{Kind: oauth.InvalidRequest, Cause: err}
			}
			return clients.CheckAuthorize(oauth.AuthorizeRequest{
				ResponseType: q.Get("response_type"), ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"), State: q.Get("state"),
				Scope: oauth.SplitList(q.Get("scope")), Audience: oauth.SplitList(q.Get("audience")),
				CodeChallenge: q.Get("code_challenge"), CodeChallengeMethod: q.Get("code_challenge_method"),
				Popup: q.Get("popup") == "true", WidgetOnly: q.Get("widget_only") == "true", PostMessageLogin: q.Get("enable_post_message_login") == "true",
			})
		}}},
		From: func(*http.Request) oauth.Origin { return f.from },
		Now:  f.clock.Now,
		Log:  zap.NewNop(),
	}
	return f
}

func (f *fixture) accounts(accounts ...local.Account) *local.Method {
	method, err := local.New("local", accounts)
	if err != nil {
		f.t.Fatal(err)
	}
	return method
}

// authorization is the query of a good authorization request.
var authorization = url.Values{
	"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {"https://game.example/oauth2/callback"}, "state": {"12345678"},
	"scope": {"email"}, "audience": {"game"}, "code_challenge": {oauth.Challenge(strings.Repeat("a", 43))}, "code_challenge_method": {"S256"},
}.Encode()

// a visitor is a browser, and keeps the cookies of the portal.
type visitor struct {
	f       *fixture
	cookies map[string]string
}

func (f *fixture) visitor() *visitor { return &visitor{f: f, cookies: map[string]string{}} }

var sameOrigin = []string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}

func (b *visitor) do(method, target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(b.f.t.Context(), method, target, strings.NewReader(form.Encode()))
	r.Host = "localhost:8080"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}

	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	endpoint := b.f.hosted.Endpoint(r.URL.Path)
	if endpoint == nil {
		b.f.t.Fatalf("nothing answers %s", r.URL.Path)
	}
	endpoint(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return w
}

func (b *visitor) open(target string) *httptest.ResponseRecorder { return b.do("GET", target, nil) }

// a form is what a sign-in page would post.
type form struct{ action, transaction string }

var (
	actionAttribute = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	transactionAttr = regexp.MustCompile(`name="transaction" value="([^"]+)"`)
)

func (b *visitor) form(w *httptest.ResponseRecorder) form {
	b.f.t.Helper()
	action, transaction := actionAttribute.FindStringSubmatch(w.Body.String()), transactionAttr.FindStringSubmatch(w.Body.String())
	if action == nil || transaction == nil {
		b.f.t.Fatalf("there is no form: status %d: %s", w.Code, w.Body)
	}
	return form{strings.ReplaceAll(action[1], "&amp;", "&"), transaction[1]}
}

func (b *visitor) submit(f form, name, password string, headers ...string) *httptest.ResponseRecorder {
	if headers == nil {
		headers = sameOrigin
	}
	return b.do("POST", f.action, url.Values{"transaction": {f.transaction}, "username": {name}, "password": {password}}, headers...)
}

// try opens the sign-in page and submits it.
func (b *visitor) try(name, password string) *httptest.ResponseRecorder {
	b.f.t.Helper()
	return b.submit(b.form(b.open(portal.SignInPath+"?switch=1")), name, password)
}

func (b *visitor) session() string { return b.cookies[b.f.hosted.Session.Name] }

// who is signed in, by a session cookie.
func (f *fixture) who(cookie string) string {
	in, err := f.hosted.Server.SignedIn(f.t.Context(), cookie)
	if err != nil {
		return ""
	}
	return in.User.Name
}

var refreshAttribute = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)

// leadsTo is where a page goes by itself, or "".
func leadsTo(w *httptest.ResponseRecorder) string {
	found := refreshAttribute.FindStringSubmatch(w.Body.String())
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func want(t testing.TB, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, expected %d; Location %q; body: %s", w.Code, status, w.Header().Get("Location"), w.Body)
	}
}

func wantText(t testing.TB, w *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Fatalf("%q is not in the page: %s", text, w.Body)
		}
	}
}
