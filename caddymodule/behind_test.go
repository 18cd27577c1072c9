package caddymodule

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/storage"
)

const showCookies = `respond "[{http.request.header.Cookie}] {http.request.header.X-SSO-User}"`

func TestWhatStandsBehindThePortalGetsNoSessionCookie(t *testing.T) {
	for name, test := range map[string]struct{ behind, want string }{
		"a backend":             {showCookies, "[theirs=1] "},
		"a gate, and a backend": {"sso_gate {\nclient 1\n}\n" + showCookies, "[theirs=1] demo"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{portal: test.behind})
			v := w.visitor()
			if got := v.signIn("http://" + w.site + "/"); got.body != "hello demo" {
				t.Fatalf("%s: %s", got.Status, got.body)
			}
			r := v.request(http.MethodGet, "http://"+w.portal+"/page", "")
			r.AddCookie(&http.Cookie{Name: "theirs", Value: "1"})
			if got := v.send(r); got.body != test.want {
				t.Errorf("%s: %q, not %q", got.Status, got.body, test.want)
			}
		})
	}
}

// closedEngine is a store that cannot be opened.
type closedEngine struct{ Engine }

func (closedEngine) Identity() string { return "closed" }
func (closedEngine) Shared() bool     { return false }
func (closedEngine) Open(*zap.Logger, func() time.Time) (storage.Store, error) {
	return nil, errors.New("closed")
}

func TestClass03AGateWithoutAStoreHandsNoRequestOn(t *testing.T) {
	pages, err := page.New(page.Brand{}, page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{
		app: &App{engine: closedEngine{}, pages: pages, log: zap.NewNop()}, log: zap.NewNop(),
		client: &oauth.Client{ID: "1", Name: "Game"},
	}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the request went on")
		return nil
	})
	for accept, want := range map[string]string{"text/html": "You have not been signed out", "*/*": `"temporarily_unavailable"`} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/oauth2/callback?code=c&state=s", nil)
		r.Header.Set("Accept", accept)
		r.Header.Set("X-SSO-User", "admin")
		w := httptest.NewRecorder()
		// An error would let handle_errors have the request as the client sent it,
		// and write its address, code and all, into the error log.
		if err := g.ServeHTTP(w, r, next); err != nil {
			t.Errorf("%s: %v", accept, err)
		}
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", accept, w.Code, w.Body)
		}
	}
}
