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
)

// A Kind is what an answer means to anyone who gets it. docs/operating.md uses the
// same words.
type Kind string

const (
	GoesOn    Kind = "goes on"
	TryAgain  Kind = "try again"  // 503, or 418 of the Login API: nothing is lost
	SignedOut Kind = "signed out" // 401, or a refresh token that is refused
	NoAnswer  Kind = "no answer"  // the node itself is away
)

func kindOf(status int) Kind {
	switch status {
	case 0:
		return NoAnswer
	case http.StatusOK:
		return GoesOn
	case http.StatusServiceUnavailable, http.StatusTeapot:
		return TryAgain
	case http.StatusUnauthorized, http.StatusBadRequest:
		return SignedOut
	}
	return Kind(fmt.Sprintf("status %d", status))
}

// Answers are what a kind of people got: how often each kind, and how long each
// took.
type Answers struct {
	mu      sync.Mutex
	kinds   map[Kind]int
	times   []time.Duration
	cleared int // answers that took a cookie away
}

func (a *Answers) add(kind Kind, took time.Duration, h http.Header) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kinds == nil {
		a.kinds = make(map[Kind]int)
	}
	a.kinds[kind]++
	a.times = append(a.times, took)
	if slices.ContainsFunc(h.Values("Set-Cookie"), func(c string) bool { return strings.Contains(c, "Max-Age=0") }) {
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
	for _, kind := range slices.Sorted(maps.Keys(a.kinds)) {
		kinds = append(kinds, fmt.Sprintf("%d × %s", a.kinds[kind], kind))
	}
	return cmp.Or(strings.Join(kinds, ", "), "none")
}

// only wants no other kind than these.
func (a *Answers) only(t *testing.T, who who, kinds ...Kind) {
	t.Helper()
	for kind, n := range a.kinds {
		if !slices.Contains(kinds, kind) {
			t.Errorf("%s: %d answers are %q; want only %q", who, n, kind, kinds)
		}
	}
	if a.cleared > 0 && who != revoked {
		t.Errorf("%s: %d answers took a cookie away", who, a.cleared)
	}
	if len(a.times) == 0 {
		t.Errorf("%s: no answer", who)
	}
}
