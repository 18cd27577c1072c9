package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// visitors sign in and out all the time. There are many, since a user may sign in
// so often in an hour.
var visitors = func() []harness.User {
	users := make([]harness.User, 100)
	for i := range users {
		users[i] = harness.User{Name: fmt.Sprint("visitor", i), Password: "open window"}
	}
	return users
}()

const visitor who = "sign-in and sign-out"

// A soak has mixed traffic for a while, with a fault of the store now and then, and
// says what has grown: `make soak FOR=10m`. In the tests it is short.
func TestSoak(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv("SSO_SOAK"))
	if err != nil {
		d = 10 * time.Second
	}
	s := newScene(t, one)
	s.load(t, 2*time.Second) // so that caches and connections are there
	before := s.size(t)

	done := make(chan map[who]*Answers)
	go func() { done <- s.load(t, d) }()
	came := new(Answers)
	out := new(Answers)
	calls := make(chan struct{})
	go func() {
		defer close(calls)
		for end, i := time.Now().Add(d), 0; time.Now().Before(end); i++ {
			s.visit(t, visitors[i%len(visitors)], i%2, came, out)
			time.Sleep(200 * time.Millisecond)
		}
	}()
	failures := s.failOneByOne(t, d)
	got := <-done
	<-calls
	got[visitor], got[revoked] = came, out
	s.wantAsBefore(t)

	for w, a := range got {
		switch w {
		case visitor:
			a.only(t, w, GoesOn, TryAgain)
		default:
			a.only(t, w, kinds(whoIsKnownGoesOn, w)...)
		}
	}
	if n := s.gauge(t).Known.TimedOut; n > 0 {
		t.Errorf("%d uses of known sessions and tokens waited until the store gave up", n)
	}
	t.Logf("%s with %d faults: %s", d, len(failures), strings.Join(failures, "; "))
	for _, w := range slices.Sorted(maps.Keys(got)) {
		t.Logf("  %-20s %s", w, got[w])
	}
	for node, now := range s.size(t) {
		was := before[node]
		t.Logf("node %d: heap %.1f → %.1f MiB, goroutines %d → %d, descriptors %d → %d", node,
			float64(was.heap)/(1<<20), float64(now.heap)/(1<<20), was.goroutines, now.goroutines, was.descriptors, now.descriptors)
	}
}

// failOneByOne has one fault after the other, with pauses, and returns their names.
func (s *scene) failOneByOne(t *testing.T, d time.Duration) (names []string) {
	t.Helper()
	var some []fault
	for _, f := range faults {
		if f.soaks {
			some = append(some, f)
		}
	}
	for end := time.Now().Add(d - 5*time.Second); time.Now().Before(end); {
		f := some[rand.IntN(len(some))]
		f.begin(t, s)
		time.Sleep(2 * time.Second)
		f.end(t, s)
		names = append(names, f.name)
		time.Sleep(3 * time.Second)
	}
	return names
}

// visit signs in, looks at a page, and signs out. out is what anyone who has the old
// cookies gets then.
func (s *scene) visit(t *testing.T, u harness.User, node int, came, out *Answers) {
	t.Helper()
	began := time.Now()
	browser := harness.NewClient(t)
	defer browser.Close()
	s.Lead(browser, node)
	kind := s.enter(browser, u)
	if kind != GoesOn {
		came.add(kind, time.Since(began), nil)
		return
	}
	page, err := browser.TryOpen(s.Portal + "/sso/account")
	if err != nil || page.Status != http.StatusOK {
		came.add(TryAgain, time.Since(began), nil)
		return
	}
	form, err := page.Form("")
	if err != nil {
		came.add(Kind(err.Error()), time.Since(began), nil)
		return
	}
	thief := harness.NewClient(t)
	defer thief.Close()
	s.Lead(thief, 1-node)
	s.copyCookies(t, browser, thief)
	page, err = browser.Submit(form)
	if err != nil {
		came.add(NoAnswer, time.Since(began), nil)
		return
	}
	came.add(kindOf(page.Status), time.Since(began), nil)
	if page.Status == http.StatusOK {
		s.fetch(thief, out)
	}
}

// A size is how much of the machine a node takes.
type size struct{ heap, goroutines, descriptors int }

func (s *scene) size(t *testing.T) (all [2]size) {
	t.Helper()
	for i, node := range s.Nodes {
		descriptors, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", node.PID()))
		if err != nil {
			t.Fatal(err)
		}
		all[i] = size{
			heap:        number(t, node.Admin("/debug/pprof/heap?debug=1&gc=1").Body, "# HeapAlloc = "),
			goroutines:  number(t, node.Admin("/debug/pprof/goroutine?debug=1").Body, "goroutine profile: total "),
			descriptors: len(descriptors),
		}
	}
	return all
}
