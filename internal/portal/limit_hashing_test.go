package portal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/signin"
)

// a crowd is people at sign-in pages, and passwords that are compared one by
// one when told.
type crowd struct {
	*fixture
	slow    atomic.Bool
	compare chan struct{}
	log     *observer.ObservedLogs
	hash    local.Hash // of "right"
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{fixture: newFixture(t), compare: make(chan struct{})}
	hash, err := local.ParseHash(fmt.Sprintf("$2a$10$%053d", 1), local.Comparers{Bcrypt: func(_, plaintext []byte) (bool, error) {
		if c.slow.Load() {
			<-c.compare
		}
		return string(plaintext) == "right", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.hash = hash
	c.hosted.Methods = methods.List{c.accounts(local.Account{Name: "demo", Hash: hash})}
	c.hosted.Limits = signin.AttemptLimits{PerAccount: 1, PerAddress: 10_000, Every: 15 * time.Minute}
	core, log := observer.New(zapcore.InfoLevel)
	c.log = log
	c.hosted.Server.Audit = oauth.NewAudit(zap.New(core))
	return c
}

// send submits the form of a visitor, and returns when all that can happen has.
func (c *crowd) send(b *visitor, name, password string) *atomic.Pointer[httptest.ResponseRecorder] {
	answer := new(atomic.Pointer[httptest.ResponseRecorder])
	page := b.form(b.open(portal.SignInPath))
	go func() { answer.Store(b.submit(page, name, password)) }()
	synctest.Wait()
	return answer
}

// fill takes every core and place that other clients can have.
func (c *crowd) fill() (answers []*atomic.Pointer[httptest.ResponseRecorder]) {
	own := c.from
	defer func() { c.from = own }()
	for i := range runtime.GOMAXPROCS(0) * (1 + limits.PlacesPerCore) {
		c.from = oauth.Origin(fmt.Sprint("198.51.100.", i))
		a := c.send(c.visitor(), fmt.Sprint("nobody", i), "wrong")
		if w := a.Load(); w != nil {
			c.t.Fatalf("other %d: status %d", i, w.Code)
		}
		answers = append(answers, a)
	}
	return answers
}

func (c *crowd) wantBusy(w *httptest.ResponseRecorder) {
	c.t.Helper()
	if w == nil {
		c.t.Fatal("waits")
	}
	want(c.t, w, http.StatusServiceUnavailable)
	wantText(c.t, w, "Many people are signing in right now", "Your password was not checked", "Try again in 5 seconds.")
	if got := w.Header().Get("Retry-After"); got != "5" || strings.Contains(w.Body.String(), "is wrong") {
		c.t.Errorf("Retry-After %q: %s", got, w.Body)
	}
}

func TestClass24PasswordsThatWaitToBeComparedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		c.slow.Store(true)
		waiting := c.fill()
		late := c.visitor()
		c.wantBusy(c.send(late, "late", "wrong").Load())
		if n := c.log.FilterMessage(string(oauth.SignInLimited)).FilterField(zap.String("why", "too many sign-ins at once")).Len(); n != 1 {
			t.Errorf("the audit log says it %d times", n)
		}

		time.Sleep(limits.LongestWait) // of those who wait; the others are being compared
		synctest.Wait()
		busy := 0
		for _, a := range waiting {
			if w := a.Load(); w != nil {
				c.wantBusy(w)
				busy++
			}
		}
		if cores := runtime.GOMAXPROCS(0); busy != cores*limits.PlacesPerCore {
			t.Errorf("%d gave up, and %d waited", busy, cores*limits.PlacesPerCore)
		}
		if n := c.log.FilterMessage(string(oauth.SignInFailed)).Len(); n != 0 {
			t.Errorf("%d attempts failed that nobody looked at", n)
		}

		close(c.compare)
		synctest.Wait()
		want(t, late.try("late", "wrong"), http.StatusUnauthorized) // its first attempt of one
		want(t, late.try("late", "wrong"), http.StatusTooManyRequests)
	})
}

func TestClass18ACrowdOfUnknownBrowsersKeepsNobodyOutOfTheirOwnBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		owner := c.visitor()
		owner.try("demo", "right")
		delete(owner.cookies, c.hosted.Session.Name)
		c.slow.Store(true)
		others := c.fill()
		entered := c.send(owner, "demo", "right")
		// Each core ends what it is at, and then it is the owner's turn.
		for range runtime.GOMAXPROCS(0) + 1 {
			c.compare <- struct{}{}
			synctest.Wait()
		}
		if entered.Load() == nil || c.who(owner.session()) != "demo" {
			t.Errorf("the owner of the account waits: %v", entered.Load())
		}
		if last := others[len(others)-1].Load(); last != nil {
			t.Errorf("another client went first: status %d", last.Code)
		}
		close(c.compare)
		synctest.Wait()
	})
}
