// Package storagetest is the conformance suite of [storage.Store].
//
// # Use
//
// The tests of an engine call [Run], with a function that opens an empty store for each
// test. Its benchmarks call [Bench].
//
// # What the suite needs
//
//   - The store is a [storage.Identified] that tells its identity.
//   - Time passes when a test says so: [Opened].Pass moves the clock of the store, or
//     waits.
//   - An engine that evicts values says after how many writes: [Opened].Crowd.
//   - An engine that several nodes share opens a second handle: [Opened].Second.
package storagetest

import (
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Opened is a store under test, and what the suite must know about it.
type Opened struct {
	// Store is empty. The suite closes it only to test Close; otherwise the engine's
	// test closes it.
	Store storage.Store

	// Pass lets time pass: it moves a fake clock, or waits.
	Pass func(time.Duration)

	// Unit is a lifetime that is short enough for Pass, and long enough that no value
	// expires by accident during a test.
	Unit time.Duration

	// Crowd is the number of written values after which the engine evicts others; it
	// must have room for as many pinned values. 0: the engine never evicts.
	Crowd int

	// Second, if not nil, opens another handle on the same values, as another node
	// would.
	Second func(t *testing.T) storage.Store
}

// Run runs the suite. It calls open once a test; open returns an empty store.
func Run(t *testing.T, open func(t *testing.T) Opened) {
	tests := []struct {
		name string
		run  func(*testing.T, Opened)
	}{
		{"a value put is got until it is replaced", testGetPut},
		{"a value taken is gone", testTake},
		{"an empty value is a value", testEmptyValue},
		{"of many racers exactly one takes a value", testTakeRace},
		{"compare and swap creates only where nothing is", testCreate},
		{"compare and swap replaces only what is there", testSwap},
		{"compare and swap never brings back what was removed", testSwapNeverCreates},
		{"of many racers exactly one creates", testCreateRace},
		{"concurrent swaps lose no step", testSwapRace},
		{"a swap that races a removal cannot undo it", testSwapRemovalRace},
		{"an expired value is not found", testExpiry},
		{"every write begins a new lifetime", testLifetimeRenewed},
		{"a lifetime must be positive", testLifetimeInvalid},
		{"a pinned value is a value", testPin},
		{"class 35: a pinned value outlives all that is written after it", testPinCrowd},
		{"a pinned value goes when its lifetime is over", testPinExpiry},
		{"an ended context is an error", testContext},
		{"a closed store says so", testClosed},
		{"what is too large is refused", testTooLarge},
		{"keys may hold any bytes", testKeyBytes},
		{"values are not shared with the caller", testNotShared},
		{"scan sees every live value with its prefix", testScan},
		{"a scan by the beginning of one key finds that", testScanSeek},
		{"scan passes the callback's error on", testScanError},
		{"the callback of scan may use the store", testScanReentrant},
		{"every change reaches its watcher", testWatch},
		{"the last change of a key is reported after it can be read", testWatchLast},
		{"what does not change a value is not reported", testWatchSilence},
		{"a watcher may use the store and stop itself", testWatchReentrant},
		{"a change reaches the watchers of another handle", testWatchSecond},
		{"a store that loses nothing keeps its identity", testIdentity},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}
