package gate

import (
	"sync"
	"time"
)

// A seldom keeps what strangers can bring about from filling the log: it lets
// one line a minute through. The zero value is ready.
type seldom struct {
	mu   sync.Mutex
	last time.Time
	held int // since the last line
}

// line counts one occasion at time now. It returns how many there were since
// the last line, this one included, or 0 where it is too early for another.
func (s *seldom) line(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held++
	if !s.last.IsZero() && now.Sub(s.last) < time.Minute {
		return 0
	}
	n := s.held
	s.last, s.held = now, 0
	return n
}
