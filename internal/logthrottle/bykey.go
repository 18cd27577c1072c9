package logthrottle

import (
	"sync"
	"time"
)

// A ByKey allows a few log lines a minute for each key, and counts the others. The
// minute is the same for all keys, and begins with its first line.
type ByKey[K comparable] struct {
	// Most is the number of lines a minute for each key.
	Most int

	// LeftOut is called at the end of a minute with the number of suppressed lines of a key.
	LeftOut func(kind K, lines int)

	mu    sync.Mutex
	begun time.Time
	kinds map[K]int
	end   *time.Timer // calls Flush; nil: no line was suppressed
}

// maxKinds bounds the memory of a ByKey. Further keys are not limited: callers use
// only configured or issued values as keys.
const maxKinds = 1 << 14

// Due counts one occurrence, and reports whether it gets a line.
func (f *ByKey[K]) Due(kind K) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now() // not the caller's clock, since a timer calls Flush
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

// Flush ends the minute, and reports suppressed lines at once.
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
