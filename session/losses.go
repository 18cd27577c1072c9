package session

import (
	"sort"
	"sync"
	"sync/atomic"
)

const (
	// keptLosses bounds how many times are remembered, and lossSpan is for how long,
	// in milliseconds, interruptions have one time: that of the first of them.
	keptLosses = 4096
	lossSpan   = 1000
)

// losses are when epochs of the feed ended. There may be many in an outage: each
// attempt to connect may be one. What is not remembered on its own counts as lost
// earlier than it was, never later, and in a long outage hardly earlier: nothing
// is read meanwhile.
type losses struct {
	mu    sync.Mutex
	spans []lossesSpan // guarded by mu
}

// A lossesSpan are epochs that follow each other.
type lossesSpan struct {
	last uint64 // of them
	at   int64  // when the first of them ended, in milliseconds since 1970
}

// add ends an epoch.
func (l *losses) add(epoch *atomic.Uint64, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := epoch.Load()
	n := len(l.spans)
	if n > 0 && now >= l.spans[n-1].at && now-l.spans[n-1].at < lossSpan {
		l.spans[n-1].last = ended
	} else {
		l.spans = append(l.spans, lossesSpan{ended, now})
	}
	if len(l.spans) > keptLosses {
		l.spans[1].at = min(l.spans[0].at, l.spans[1].at)
		l.spans = append(l.spans[:0], l.spans[1:]...)
	}
	epoch.Add(1)
}

// at returns when an epoch ended that is over.
func (l *losses) at(epoch uint64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := sort.Search(len(l.spans), func(i int) bool { return l.spans[i].last >= epoch })
	return l.spans[i].at
}
