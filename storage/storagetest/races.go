package storagetest

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// race runs fn on n goroutines that start together.
func race(n int, fn func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

func testTakeRace(t *testing.T, o Opened) {
	const values, racers = 20, 100
	won := make([]atomic.Int32, values)
	for i := range values {
		put(t, o.Store, fmt.Sprint(i), fmt.Sprint(i))
	}
	race(values*racers, func(i int) {
		key := i % values
		value, ok, err := o.Store.Take(t.Context(), fmt.Sprint(key))
		if err != nil {
			t.Errorf("taking: %v", err)
		}
		if ok {
			won[key].Add(1)
			if string(value) != fmt.Sprint(key) {
				t.Errorf("took %q from key %d", value, key)
			}
		}
	})
	for key := range won {
		if n := won[key].Load(); n != 1 {
			t.Errorf("key %d was taken %d times", key, n)
		}
	}
}

func testCreateRace(t *testing.T, o Opened) {
	const keys, racers = 10, 50
	won := make([]atomic.Int32, keys)
	race(keys*racers, func(i int) {
		swapped, err := o.Store.CompareAndSwap(t.Context(), fmt.Sprint(i%keys), nil, []byte(fmt.Sprint(i)), long)
		if err != nil {
			t.Errorf("creating: %v", err)
		}
		if swapped {
			won[i%keys].Add(1)
		}
	})
	for key := range won {
		if n := won[key].Load(); n != 1 {
			t.Errorf("key %d was created %d times", key, n)
		}
	}
}

// A counter that many raise by compare-and-swap ends at the number of swaps
// that were said to have happened.
func testSwapRace(t *testing.T, o Opened) {
	put(t, o.Store, "counter", "0")
	var swaps atomic.Int64
	race(16, func(int) {
		for range 25 {
			old, _, err := o.Store.Get(t.Context(), "counter")
			if err != nil {
				t.Errorf("reading the counter: %v", err)
				return
			}
			n, err := strconv.Atoi(string(old))
			if err != nil {
				t.Errorf("the counter reads %q", old)
				return
			}
			swapped, err := o.Store.CompareAndSwap(t.Context(), "counter", old, []byte(strconv.Itoa(n+1)), long)
			if err != nil {
				t.Errorf("raising the counter: %v", err)
				return
			}
			if swapped {
				swaps.Add(1)
			}
		}
	})
	want(t, o.Store, "counter", fmt.Sprint(swaps.Load()))
}

// Sessions are extended by compare-and-swap while they are revoked by Take.
func testSwapRemovalRace(t *testing.T, o Opened) {
	const keys = 50
	for i := range keys {
		put(t, o.Store, fmt.Sprint(i), "0")
	}
	race(2*keys, func(i int) {
		key := fmt.Sprint(i / 2)
		if i%2 == 0 {
			if _, ok, err := o.Store.Take(t.Context(), key); !ok || err != nil {
				t.Errorf("taking %q: %v, %v", key, ok, err)
			}
			return
		}
		value := []byte("0")
		for n := range 20 {
			next := fmt.Append(nil, n+1)
			swapped, err := o.Store.CompareAndSwap(t.Context(), key, value, next, long)
			if err != nil {
				t.Errorf("swapping %q: %v", key, err)
			}
			if !swapped {
				return
			}
			value = bytes.Clone(next)
		}
	})
	for i := range keys {
		wantNone(t, o.Store, fmt.Sprint(i))
	}
}
