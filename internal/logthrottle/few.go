package logthrottle

import (
	"sync"
	"time"
)

// A ByKey lets through a few lines a minute of each kind, and counts the others. The
// minute is the same for all kinds, and begins with the first line in it.
type ByKey[K comparable] struct {
	// Most is how many lines of a kind a minute has.
	Most int

	// LeftOut is told at the end of a minute how many more of a kind there were.
	LeftOut func(kind K, lines int)

	mu    sync.Mutex
	begun time.Time
	kinds map[K]int
	end   *time.Timer // which flushes; nil: nothing was left out
}

// maxKinds bounds the memory of a Few. Kinds beyond it are not counted, since
// callers make kinds of what is configured, and of what somebody was given.
const maxKinds = 1 << 14

// Due counts one occasion, and says whether it gets a line.
func (f *ByKey[K]) Due(kind K) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now() // and no clock of the caller's: Flush has to come by itself
	if now.Sub(f.begun) >= time.Minute {
		f.flush()
		f.begun = now
	}
	n, known := f.kinds[kind]
	if !known && len(f.kinds) >= maxKinds {
		return true
	}
	if f.kinds == nil {
		f.kinds = make(map[K]int)
	}
	f.kinds[kind] = n + 1
	if n < f.Most {
		return true
	}
	if f.end == nil {
		f.end = time.AfterFunc(f.begun.Add(time.Minute).Sub(now), f.Flush)
	}
	return false
}

// Flush ends the minute: what was left out is told now.
func (f *ByKey[K]) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flush()
}

func (f *ByKey[K]) flush() {
	for kind, n := range f.kinds {
		if n > f.Most {
			f.LeftOut(kind, n-f.Most)
		}
	}
	clear(f.kinds)
	f.begun = time.Time{}
	if f.end != nil {
		f.end.Stop()
		f.end = nil
	}
}
