// Package logthrottle limits how many lines a log gets from messages that
// unauthenticated requests or an outage can trigger.
package logthrottle

import (
	"sync"
	"time"
)

// A Throttle allows one log line a minute about one kind of event. The zero value is
// ready.
type Throttle struct {
	mu   sync.Mutex
	last time.Time
	held int // events since the last line
}

// Due counts one event at time now. It returns the number of events since the last
// line, including this one, or 0 if the next line is not due yet.
func (l *Throttle) Due(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held++
	if d := now.Sub(l.last); d >= 0 && d < time.Minute { // otherwise the clock was set back
		return 0
	}
	n := l.held
	l.last, l.held = now, 0
	return n
}

// A ByKind has a Throttle for each of a few kinds of events. The zero value is ready.
type ByKind struct {
	throttles sync.Map

	mu      sync.Mutex
	reasons map[string]map[string]*Throttle // by kind, and by reason
}

// Of returns the Throttle of one kind.
func (k *ByKind) Of(kind string) *Throttle {
	lines, _ := k.throttles.LoadOrStore(kind, new(Throttle))
	return lines.(*Throttle)
}
