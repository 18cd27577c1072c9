package gate

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A tab that is duplicated sends the answer of the portal once more, before the
// first has set a cookie.
func TestClass12ACallbackThatIsSentTwiceAtOnceEndsNoGrant(t *testing.T) {
	f := newFixture(t)
	core, log := observer.New(zapcore.InfoLevel)
	f.gate.Server.Audit = oauth.NewAudit(zap.New(core))
	tab := f.browser()
	tab.signIn(demo)
	callback := tab.portal(tab.open("/x").Header().Get("Location"))
	second := *tab
	second.cookies = maps.Clone(tab.cookies)
	for origin, cookies := range tab.cookies {
		second.cookies[origin] = maps.Clone(cookies)
	}
	for i, b := range []*browser{tab, &second} {
		w := b.open(callback)
		if i > 0 {
			w = b.open(b.portal(w.Header().Get("Location")))
		}
		if to := w.Header().Get("Location"); w.Code != http.StatusFound || to != siteOrigin+"/x" {
			t.Errorf("tab %d was led to %q with %d", i, to, w.Code)
		}
	}
	if n := log.FilterMessage(string(oauth.GrantEnded)).Len(); n != 0 {
		t.Errorf("%d grants ended", n)
	}
}

// Who signs in to sites too often waits, and the answer of the portal is as good
// after that.
func TestBeyondTheAllowanceACallbackCanBeSentAgain(t *testing.T) {
	f := newFixture(t)
	f.gate.Server.Allowance = attemptlimit.New()
	for range 640 {
		f.browser().enter(demo)
	}
	b := f.browser()
	b.signIn(demo)
	callback := b.portal(b.open("/").Header().Get("Location"))
	w := b.open(callback)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "6" || !strings.Contains(w.Body.String(), "You have not been signed out") {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	f.clock.Advance(6 * time.Second)
	b.want(b.open(callback), http.StatusFound)
	b.want(b.open("/"), http.StatusOK)
}
