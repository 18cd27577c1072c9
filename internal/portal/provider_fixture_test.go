package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// elsewhere is a provider that accepts every user: the code is the user.
type elsewhere struct {
	id        string
	users     map[string]session.User
	startErr  error
	endErr    error
	left      []signin.ProviderRequest
	ended     int
	meanwhile func() // at the next Finish
}

func (e *elsewhere) ID() string                                  { return e.id }
func (e *elsewhere) Current(u session.User) (session.User, bool) { return u, true }
func (e *elsewhere) Label() (name, icon string)                  { return strings.ToUpper(e.id), "" }

func (e *elsewhere) Start(_ context.Context, d signin.ProviderRequest) (string, error) {
	e.left = append(e.left, d)
	return "https://" + e.id + ".example/auth?state=" + url.QueryEscape(d.State), e.startErr
}

func (e *elsewhere) Finish(_ context.Context, d signin.ProviderRequest, answer url.Values) (session.User, error) {
	e.ended++
	if then := e.meanwhile; then != nil {
		e.meanwhile = nil
		then()
	}
	if e.endErr != nil {
		return session.User{}, e.endErr
	}
	last := e.left[slices.IndexFunc(e.left, func(l signin.ProviderRequest) bool { return l.Nonce == d.Nonce })]
	if d.Verifier != last.Verifier || d.RedirectURI != last.RedirectURI || !d.AuthAfter.Equal(last.AuthAfter) {
		return session.User{}, fmt.Errorf("%w: %+v left, %+v came back", signin.ErrAnswer, last, d)
	}
	return e.users[answer.Get("code")], nil
}

func newElsewhere(id string) *elsewhere {
	return &elsewhere{id: id, users: map[string]session.User{
		"ann": {Subject: "subject-of-ann-at-" + id, Name: "ann.acme", Email: "ann@acme.example"},
		"bob": {Subject: "subject-of-bob-at-" + id, Name: "bob.other", Email: "bob@other.example"},
	}}
}

// outsideFixture has local accounts and the methods acme and umbrella, and takes
// requests of OpenID Connect, too.
type outsideFixture struct {
	*fixture
	local          signin.Method
	acme, umbrella *elsewhere

	// asks is what an OpenID Connect request asks for, and refusal what is wrong
	// with it.
	asks    oauth.Authorization
	refusal *oauth.Error
}

func newOutsideFixture(t testing.TB) *outsideFixture {
	t.Helper()
	f := &outsideFixture{fixture: newFixture(t), acme: newElsewhere("acme"), umbrella: newElsewhere("umbrella")}
	f.local = f.hosted.Methods[0]
	f.use(f.local, f.acme, f.umbrella)
	client, _ := f.hosted.Server.Clients.Get("1")
	f.asks = oauth.Authorization{Client: client, OpenID: true, Redirect: client.RedirectURIs[0]}
	f.hosted.Requests = append(f.hosted.Requests, portal.Request{
		Page: portal.OpenIDPath, Continue: "/oauth2/authorize",
		Check: func(_ context.Context, rawQuery string) (*oauth.Authorization, *oauth.Error) {
			a := f.asks
			return &a, f.refusal // both, as the real one does
		},
	})
	return f
}

const openID = portal.OpenIDPath + "?client_id=1&prompt=consent&x=%20y"

var hrefs = regexp.MustCompile(`href="([^"]+)"`)

// links are where a page leads to.
func links(w *httptest.ResponseRecorder, prefix string) []string {
	var found []string
	for _, m := range hrefs.FindAllStringSubmatch(w.Body.String(), -1) {
		if to := strings.ReplaceAll(m[1], "&amp;", "&"); strings.HasPrefix(to, prefix) {
			found = append(found, to)
		}
	}
	return found
}

// leave follows the button of a method, and returns the state that it leaves with.
func (b *visitor) leave(page *httptest.ResponseRecorder, id string) string {
	b.f.t.Helper()
	to := links(page, portal.StartPrefix+id+"?")
	if len(to) != 1 {
		b.f.t.Fatalf("no button for %s: status %d: %s", id, page.Code, page.Body)
	}
	return b.away(b.open(to[0]))
}

// away is the state of a response that leads to a provider.
func (b *visitor) away(w *httptest.ResponseRecorder) string {
	b.f.t.Helper()
	want(b.f.t, w, http.StatusSeeOther)
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil || !strings.HasSuffix(u.Host, ".example") {
		b.f.t.Fatalf("leads to %v, %v", u, err)
	}
	return u.Query().Get("state")
}

// back comes back from a provider.
func (b *visitor) back(id, state, code string) *httptest.ResponseRecorder {
	return b.open(portal.CallbackPrefix + id + "?" + url.Values{"state": {state}, "code": {code}}.Encode())
}
