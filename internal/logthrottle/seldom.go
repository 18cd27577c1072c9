// Package logthrottle keeps what unauthenticated clients, or an outage, cause from filling
// the log.
package logthrottle

import (
	"sync"
	"time"
)

// Throttle are the lines in the log about one kind of occasion: one a minute. The
// zero value is ready.
type Throttle struct {
	mu   sync.Mutex
	last time.Time
	held int // since the last line
}

// Due counts one occasion at time now. It returns how many there were since the
// last line, this one included, or 0 where it is too early for another.
func (l *Throttle) Due(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held++
	if d := now.Sub(l.last); d >= 0 && d < time.Minute { // else the clock was set back
		return 0
	}
	n := l.held
	l.last, l.held = now, 0
	return n
}

// ByKind are the lines about several kinds of occasion, of which there are few. The
// zero value is ready.
type ByKind struct {
	throttles sync.Map

	mu      sync.Mutex
	reasons map[string]map[string]*Throttle // by kind, and by reason
}

// Of returns the lines of one kind.
func (k *ByKind) Of(kind string) *Throttle {
	lines, _ := k.throttles.LoadOrStore(kind, new(Throttle))
	return lines.(*Throttle)
}
