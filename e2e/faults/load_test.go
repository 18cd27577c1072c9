package faults

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// Answers are what a kind of people got: how often each status, and how long
// each took.
type Answers struct {
	mu       sync.Mutex
	statuses map[int]int
	times    []time.Duration
	cleared  int // answers that took a cookie away
}

func (a *Answers) add(status int, took time.Duration, cleared bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.statuses == nil {
		a.statuses = make(map[int]int)
	}
	a.statuses[status]++
	a.times = append(a.times, took)
	if cleared {
		a.cleared++
	}
}

// p99 is what 99 of 100 answers took at most.
func (a *Answers) p99() time.Duration {
	slices.Sort(a.times)
	if len(a.times) == 0 {
		return 0
	}
	return a.times[len(a.times)*99/100]
}

func (a *Answers) String() string {
	var kinds []string
	for _, status := range slices.Sorted(maps.Keys(a.statuses)) {
		kinds = append(kinds, fmt.Sprintf("%d × %d", a.statuses[status], status))
	}
	return cmp.Or(strings.Join(kinds, ", "), "none")
}

// only wants no other status than these, and no cookie taken away.
func (a *Answers) only(t *testing.T, who string, statuses ...int) {
	t.Helper()
	for status, n := range a.statuses {
		if !slices.Contains(statuses, status) {
			t.Errorf("%s got %d answers %d; want only %v", who, n, status, statuses)
		}
	}
	if a.cleared > 0 {
		t.Errorf("%s lost cookies by %d answers", who, a.cleared)
	}
	if len(a.times) == 0 {
		t.Errorf("%s got no answer", who)
	}
}

// load lets each browser ask for a page twenty times a second, for a while.
func load(browsers []*harness.Client, page string, d time.Duration) *Answers {
	a := new(Answers)
	var all sync.WaitGroup
	for _, browser := range browsers {
		all.Go(func() {
			ticker := time.NewTicker(50 * time.Millisecond)
			defer ticker.Stop()
			for end := time.Now().Add(d); time.Now().Before(end); <-ticker.C {
				began := time.Now()
				resp, err := browser.TryFetch(page)
				if err != nil {
					a.add(0, time.Since(began), false)
					continue
				}
				a.add(resp.Status, time.Since(began), clears(resp.Header))
			}
		})
	}
	all.Wait()
	return a
}

func clears(h http.Header) bool {
	return slices.ContainsFunc(h.Values("Set-Cookie"), func(c string) bool { return strings.Contains(c, "Max-Age=0") })
}
