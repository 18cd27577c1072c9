package endings

import (
	"context"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	againTimeout   = 5 * time.Second
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 2 * time.Second
)

// changed handles a change of the store. It may run inside a write of the store, so
// the worker does everything that asks the store.
func (s *Store) changed(c storage.Change) {
	switch {
	case c.Lost:
		s.work(func() { s.again = true })
	case begins(c.Key, []string{Announced}):
		if key := c.Key[len(Announced):]; begins(key, s.options.Removed) {
			s.remember(key, ending{})
		}
	case begins(c.Key, s.options.Marks):
		if _, known := s.known.Peek(c.Key); !known {
			s.work(func() { s.learn = append(s.learn, c.Key) })
		}
	}
}

// work adds work, and starts the worker if none is running.
func (s *Store) work(note func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	note()
	if len(s.learn) > s.options.Capacity {
		s.learn = s.learn[1:]
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
		left, err := s.learnAll(keys)
		if again && err == nil {
			err = s.endAgain()
		}
		if err == nil {
			backoff = 0
			continue
		}
		s.work(func() {
			s.learn = append(s.learn, left...)
			s.again = s.again || again
		})
		backoff = min(max(2*backoff, firstBackoff), longestBackoff)
		select {
		case <-s.life.Done():
		case <-time.After(backoff):
		}
	}
}

// next returns the recorded tasks and removes them. If there are none, the worker ends.
func (s *Store) next() (keys []string, again, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.again && len(s.learn) == 0 {
		s.working = false
		return nil, false, false
	}
	keys, again = s.learn, s.again
	s.learn, s.again = nil, false
	return keys, again, true
}

// learnAll reads marks that other nodes wrote, and returns the keys that it could not
// read.
func (s *Store) learnAll(keys []string) (left []string, err error) {
	ctx, cancel := context.WithTimeout(s.life, againTimeout)
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

// endAgain writes the remembered endings again, for nodes that do not know them. It
// begins with the removals, which may make room for the marks.
func (s *Store) endAgain() error {
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
	ctx, cancel := context.WithTimeout(s.life, againTimeout)
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
