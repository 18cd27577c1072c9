package portal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
)

// burst has n visitors sign in at once, each by a name.
func (c *crowd) burst(n int, name func(i int) string) []*atomic.Pointer[httptest.ResponseRecorder] {
	all := make([]*atomic.Pointer[httptest.ResponseRecorder], n)
	for i := range all {
		all[i] = c.send(c.visitor(), name(i), "right")
	}
	return all
}

// compared lets n comparisons end.
func (c *crowd) compared(n int) {
	for range n {
		select {
		case c.compare <- struct{}{}:
		default: // nothing is compared
		}
		synctest.Wait()
	}
}

func newCrowdOf(t *testing.T, names ...string) *crowd {
	c := newCrowd(t)
	accounts := make([]local.Account, len(names))
	for i, name := range names {
		accounts[i] = local.Account{Name: name, Hash: c.hash}
	}
	c.use(c.accounts(accounts...))
	c.hosted.Limits.PerAccount = 10
	c.slow.Store(true)
	return c
}

func TestClass24NobodyWaitsBehindABurstOfSignIns(t *testing.T) {
	for name, test := range map[string]struct {
		burst      func(i int) string
		from, then oauth.Origin
		first      bool // whether the others have a browser that signed in before
	}{
		"at one account, from the same address": {func(int) string { return "demo" }, "192.0.2.1", "192.0.2.1", false},
		"at one account, from another":          {func(int) string { return "demo" }, "192.0.2.2", "192.0.2.1", false},
		"at a name of nobody":                   {func(int) string { return "nobody" }, "192.0.2.1", "192.0.2.1", false},
		"at spellings of one name":              {func(i int) string { return []string{"demo", "DEMO", "demo\u200b", "ｄｅｍｏ"}[i%4] }, "192.0.2.1", "192.0.2.1", false},
		"from one address":                      {func(i int) string { return fmt.Sprint("someone", i) }, "192.0.2.2", "192.0.2.1", false},
		"from their address, where known":       {func(i int) string { return fmt.Sprint("someone", i) }, "192.0.2.1", "192.0.2.1", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowdOf(t, "demo", "ann", "bea")
				ann := c.visitor()
				if test.first {
					c.slow.Store(false)
					want(t, ann.try("ann", "right"), http.StatusOK)
					delete(ann.cookies, c.hosted.Session.Name)
					c.slow.Store(true)
				}
				c.from = test.from
				burst := c.burst(16, test.burst)
				c.from = test.then
				entered := c.send(ann, "ann", "right")
				c.compared(limits.TurnsPerAddress() + 1) // those that were begun before, and this one
				if w := entered.Load(); w == nil {
					t.Error("ann waits")
				} else {
					want(t, w, http.StatusOK)
				}
				ended := 0
				for _, a := range burst {
					if a.Load() != nil {
						ended++
					}
				}
				if ended > limits.TurnsPerAddress() {
					t.Errorf("%d of the burst went first", ended)
				}
				c.compared(16)
				for i, a := range burst {
					w := a.Load()
					if w == nil {
						t.Fatalf("%d of the burst still waits", i)
					}
					if w.Code != http.StatusOK && name != "at a name of nobody" && test.burst(0) != "someone0" {
						t.Errorf("%d of the burst, whose password is right: status %d", i, w.Code)
					}
				}
				if left := c.hosted.Turns().Accounts.Count() + c.hosted.Turns().Addresses.Count(); left != 0 {
					t.Errorf("%d lines are left", left)
				}
			})
		})
	}
}

func TestClass24MoreSignInsThanCanWaitAreNoAttempts(t *testing.T) {
	for _, name := range []string{"demo", "nobody"} { // which tells nothing of either
		synctest.Test(t, func(t *testing.T) {
			c := newCrowdOf(t, "demo")
			places := limits.TurnsPerAccount + limits.MaxWaitingPerAccount
			burst := c.burst(places, func(int) string { return name })
			for _, a := range burst {
				if w := a.Load(); w != nil {
					t.Fatalf("%s: status %d", name, w.Code)
				}
			}
			for range 2 * c.hosted.Limits.PerAccount {
				c.wantBusy(c.send(c.visitor(), name, "wrong").Load())
			}
			if n := c.log.FilterField(zap.String("why", "too many sign-ins at once")).Len(); n != 10 { // and counts the others
				t.Errorf("the audit log says it %d times", n)
			}
			close(c.compare)
			synctest.Wait()
			if name == "demo" {
				for i, a := range burst {
					if w := a.Load(); w == nil || w.Code != http.StatusOK {
						t.Errorf("%d, whose password is right: %v", i, w)
					}
				}
			}
		})
	}
}

// However many cores there are, and however few failures are left.
func TestRightPasswordsAtOnceAreNotTooMany(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	for _, known := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowdOf(t, "demo")
			c.hosted.Limits.PerAccount = 1
			c.slow.Store(false)
			var all []*visitor
			for range 4 {
				v := c.visitor()
				if known {
					want(t, v.try("demo", "right"), http.StatusOK)
					delete(v.cookies, c.hosted.Session.Name)
				}
				all = append(all, v)
			}
			c.slow.Store(true)
			var answers []*atomic.Pointer[httptest.ResponseRecorder]
			for _, v := range all {
				answers = append(answers, c.send(v, "demo", "right"))
			}
			close(c.compare)
			synctest.Wait()
			for i, a := range answers {
				if w := a.Load(); w == nil || w.Code != http.StatusOK {
					t.Errorf("known %v, %d of 4: %v", known, i, w)
				}
			}
		})
	}
}
