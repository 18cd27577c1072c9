package endings

import (
	"context"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	rewriteTimeout = 5 * time.Second
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 2 * time.Second
)

// changed handles a change of the store. It may run inside a write of the store, so
// the worker does everything that asks the store.
func (s *Store) changed(c storage.Change) {
	switch {
	case c.Lost:
		s.schedule(func() { s.rewrite = true })
	case hasAnyPrefix(c.Key, []string{Announced}):
		if key := c.Key[len(Announced):]; hasAnyPrefix(key, s.options.Removed) {
			s.remember(key, ending{})
		}
	case hasAnyPrefix(c.Key, s.options.Marks):
		if _, known := s.known.Peek(c.Key); !known {
			s.schedule(func() { s.unread = append(s.unread, c.Key) })
		}
	}
}

// schedule adds work, and starts the worker if none is running.
func (s *Store) schedule(note func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	note()
	if len(s.unread) > s.options.Capacity {
		s.unread = s.unread[1:]
	}
	if !s.working {
		s.working = true
		s.running.Go(s.worker)
	}
}

// worker runs while there is work. It repeats failed work until the store is closed.
func (s *Store) worker() {
	backoff := time.Duration(0)
	for {
		keys, again, ok := s.next()
		if !ok {
			return
		}
		left, err := s.readMarks(keys)
		if again && err == nil {
			err = s.rewriteAll()
		}
		if err == nil {
			backoff = 0
			continue
		}
		s.schedule(func() {
			s.unread = append(s.unread, left...)
			s.rewrite = s.rewrite || again
		})
		backoff = min(max(2*backoff, firstBackoff), longestBackoff)
		select {
		case <-s.ctx.Done():
		case <-time.After(backoff):
		}
	}
}

// next returns the recorded tasks and removes them. If there are none, the worker ends.
func (s *Store) next() (keys []string, again, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.rewrite && len(s.unread) == 0 {
		s.working = false
		return nil, false, false
	}
	keys, again = s.unread, s.rewrite
	s.unread, s.rewrite = nil, false
	return keys, again, true
}

// readMarks reads marks that other nodes wrote, and returns the keys that it could not
// read.
func (s *Store) readMarks(keys []string) (left []string, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, rewriteTimeout)
	defer cancel()
	for i, key := range keys {
		value, ok, err := s.Store.Get(ctx, key)
		if err != nil {
			return keys[i:], err
		}
		if ok {
			s.marked(key, value)
		}
	}
	return nil, nil
}

// rewriteAll writes the remembered endings again, for nodes that do not know them. It
// begins with the removals, which may make room for the marks.
func (s *Store) rewriteAll() error {
	forgotten := 0
	for _, marks := range []bool{false, true} {
		for _, key := range s.known.Keys() {
			e, known := s.known.Peek(key)
			if !known || s.old(e) {
				s.known.Remove(key)
				continue
			}
			if marks != (e.mark != nil) {
				continue
			}
			missing, err := s.write(key, e)
			switch {
			case err != nil:
				return err
			case e.unstored:
				e.unstored = false
				s.known.Add(key, e)
			case missing:
				forgotten++
			}
		}
	}
	if forgotten > 0 {
		s.options.Forgotten(forgotten)
	}
	return nil
}

// write writes one ending again, and reports whether the store had lost it.
func (s *Store) write(key string, e ending) (missing bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, rewriteTimeout)
	defer cancel()
	if e.mark == nil {
		_, missing, err = s.Store.Take(ctx, key)
		return missing, err
	}
	_, there, err := s.Store.Get(ctx, key)
	if there || err != nil {
		return false, err
	}
	return true, s.Store.Pin(ctx, key, e.mark, s.options.MarkLifetime)
}
