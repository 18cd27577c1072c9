package protocol

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

func startPairApart(t *testing.T, one, other *harness.Clock) *pair {
	t.Helper()
	return &pair{harness.StartPair(t, harness.Standard(t, harness.NewBackend(t).Addr), redistest.Start(t).URL(), one.Of, other.Of)}
}

// A sign-in that changes the node at every step, a code of the one that the other
// redeems, and its tokens.
func TestNodesWhoseClocksAreApartSignPeopleIn(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string][2]time.Duration{
		"70 seconds":                              {0, 70 * time.Second},
		"as far as the store's may be":            {-290 * time.Second, 290 * time.Second},
		"farther than they may be, which is said": {0, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPairApart(t, harness.NewClock(t, ahead[0]), harness.NewClock(t, ahead[1]))
			status := p.Nodes[1].SSO("storage", "status")
			if ahead[1] > 5*time.Minute {
				if !strings.Contains(status, "so each node uses its own clock") {
					t.Errorf("the status is\n%s", status)
				}
				return
			}
			if !strings.Contains(status, "ahead of the clock of the storage, which is used") {
				t.Errorf("the status is\n%s", status)
			}
			for range 3 {
				signInAcross(t, p)
			}
			codeAcross(t, p)
			keysAcross(t, p)
			signOutAcross(t, p)
			if len(p.Nodes[1].Log.Containing("the clocks of this node and of the storage differ;")) == 0 {
				t.Error("the log does not say so")
			}
		})
	}
}

// The clock of the only node jumps two days ahead for some seconds. Sessions idle
// out after one.
func TestAClockThatJumpsForSecondsSignsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, storage := range []string{"memory", "file"} {
		t.Run(storage, func(t *testing.T) {
			t.Parallel()
			clock := harness.NewClock(t, 0)
			c := harness.Standard(t, harness.NewBackend(t).Addr)
			c.Storage = storage
			r := &rig{Caddyfile: c, server: harness.Start(t, c.String(), clock.Of)}
			browser := r.signedIn(t, harness.Demo)
			for _, jump := range []time.Duration{48 * time.Hour, -48 * time.Hour} {
				clock.Set(jump)
				// As often as the clock is looked at, and more.
				for range 12 {
					wantStatus(t, browser, r.Gate+"/", http.StatusOK)
					wantStatus(t, browser, r.Portal+"/sso/account", http.StatusOK)
					other := r.signedIn(t, harness.Demo)
					wantStatus(t, other, r.Gate+"/", http.StatusOK)
					time.Sleep(500 * time.Millisecond)
				}
				clock.Set(0)
				wantStatus(t, browser, r.Gate+"/", http.StatusOK)
			}
		})
	}
}
