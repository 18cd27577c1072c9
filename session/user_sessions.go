package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/storage"
)

// settling is how long after its begin a session on its user's list may be missing in
// the store, because it is about to be stored.
const settling = 2 * time.Minute

// listed is an entry of a user's list.
type listed struct {
	key   Key
	begun int64
}

// listing is the list of a user's sessions: for each its key and its begin time. It
// is ordered by begin time, as far as the clocks of nodes agree. Some sessions may
// have ended. It is stored as two lists, one for each format.
type listing []listed

func (l listing) index(k *Key) int {
	return slices.IndexFunc(l, func(e listed) bool { return e.key == *k })
}

// enlist adds a session to the list of its user, and ends the oldest sessions beyond
// the limit. This happens before the session itself is stored, so that the list is
// always complete. A session stays on the list until it has ended.
func (s *Sessions) enlist(ctx context.Context, begun *Session, in SignIn) error {
	var tooMany listing
	known := make(map[Key]bool)
	elsewhere, err := s.listed(ctx, in.User.Subject, !begun.key.short())
	if err != nil {
		return err
	}
	err = s.changeListing(ctx, in.User.Subject, begun.key.short(), func(l listing) (listing, bool, error) {
		tooMany = nil
		if len(l)+len(elsewhere) >= s.terms.perUser {
			all, err := s.living(ctx, merged(l, elsewhere), begun.begun, known)
			if err != nil {
				return nil, false, err
			}
			l = slices.DeleteFunc(slices.Clone(all), func(e listed) bool { return e.key.short() != begun.key.short() })
			others := slices.DeleteFunc(all, func(e listed) bool { return e.key == in.Replaces })
			tooMany = others[:max(len(others)+1-s.terms.perUser, 0)]
		}
		return append(l, listed{begun.key, begun.begun}), true, nil
	})
	if err != nil {
		return err
	}
	for _, e := range tooMany {
		old, err := s.end(ctx, &e.key)
		if err != nil {
			return err
		}
		if old != nil && in.Ended != nil {
			in.Ended(old)
		}
	}
	return nil
}

// living returns the sessions that have not ended or expired. It reads each only once.
func (s *Sessions) living(ctx context.Context, l listing, now int64, known map[Key]bool) (listing, error) {
	var left listing
	for _, e := range l {
		alive, asked := known[e.key]
		if !asked {
			alive = now-e.begun < settling.Milliseconds()
			if !alive {
				found, err := s.inStore(ctx, &e.key, now)
				if err != nil && !errors.Is(err, records.ErrVersion) {
					return nil, err
				}
				alive = found != nil || err != nil
			}
			known[e.key] = alive
		}
		if alive {
			left = append(left, e)
		}
	}
	return left, nil
}

// relist makes sure that a stored session is on the list of its user, and returns how
// many began after it.
func (s *Sessions) relist(ctx context.Context, found *Session) (newer int, err error) {
	subject := found.User().Subject
	elsewhere, err := s.listed(ctx, subject, !found.key.short())
	if err != nil {
		return 0, err
	}
	err = s.changeListing(ctx, subject, found.key.short(), func(l listing) (listing, bool, error) {
		at := l.index(&found.key)
		if at >= 0 {
			newer = len(l) - 1 - at
			return nil, false, nil
		}
		for at = len(l); at > 0 && l[at-1].begun > found.begun; {
			at--
		}
		newer = len(l) - at
		return slices.Insert(l, at, listed{found.key, found.begun}), true, nil
	})
	for _, e := range elsewhere {
		if e.begun > found.begun {
			newer++
		}
	}
	return newer, err
}

// delist removes ended sessions from the lists of their user. If this fails, they
// stay there as ended sessions.
func (s *Sessions) delist(ctx context.Context, subject string, ended ...Key) {
	for _, short := range []bool{false, true} {
		over := make(map[Key]bool, len(ended))
		for _, k := range ended {
			if k.short() == short {
				over[k] = true
			}
		}
		if len(over) > 0 {
			s.delistOf(ctx, subject, short, over)
		}
	}
}

// delistOf is delist for the list of one format.
func (s *Sessions) delistOf(ctx context.Context, subject string, short bool, over map[Key]bool) {
	err := s.changeListing(ctx, subject, short, func(l listing) (listing, bool, error) {
		left := slices.DeleteFunc(slices.Clone(l), func(e listed) bool { return over[e.key] })
		return left, len(left) < len(l), nil
	})
	if err != nil {
		for k := range over {
			s.cache.logger("session "+k.ID(), err)
		}
	}
}

// inStore reads a live session from the store, not from memory. It returns nil if
// there is none.
func (s *Sessions) inStore(ctx context.Context, k *Key, now int64) (*Session, error) {
	value, ok, err := s.cache.store.Get(ctx, k.in(sessionPrefix))
	if err != nil {
		return nil, unavailable("reading a session", err)
	}
	if !ok {
		return nil, nil
	}
	return s.decode(*k, value, now)
}

// Stored reports whether the store, not the memory, has the live session.
func (s *Sessions) Stored(ctx context.Context, k Key) (bool, error) {
	found, err := s.inStore(ctx, &k, s.cache.now())
	return found != nil, err
}

// OfUser returns the live sessions of a user, the newest first, each with
// [Session.Agent] and [Session.From]. A session that an old version began without a
// list is among them once its use was stored: see [Policy].Idle. With an error it
// returns the sessions that could be read.
func (s *Sessions) OfUser(ctx context.Context, subject string) ([]*Session, error) {
	listed, err := s.listing(ctx, subject)
	slices.Reverse(listed)
	now := s.cache.now()
	found, failures := make([]*Session, len(listed)), make([]error, len(listed))
	storage.Each(len(listed), func(i int) { found[i], failures[i] = s.inStore(ctx, &listed[i].key, now) })
	var all []*Session
	for _, one := range found {
		if one != nil {
			all = append(all, one)
		}
	}
	return all, cmp.Or(err, errors.Join(failures...))
}

// EndUser ends all sessions that [Sessions.OfUser] returns, and returns how many it
// ended. If one cannot be ended, it still ends the others; the error says how many
// are left. A running sign-in may still succeed.
func (s *Sessions) EndUser(ctx context.Context, subject string) (int, error) {
	ended, err := s.EndOthers(ctx, subject, Key{})
	return len(ended), err
}

// EndOthers is EndUser for all sessions but one. It returns the sessions that it ended.
func (s *Sessions) EndOthers(ctx context.Context, subject string, but Key) ([]*Session, error) {
	listed, listErr := s.listing(ctx, subject)
	var keys []Key
	for _, e := range listed {
		if e.key != but {
			keys = append(keys, e.key)
		}
	}
	ended, err := s.endAll(ctx, keys)
	if len(ended) > 0 {
		over := make([]Key, len(ended))
		for i, one := range ended {
			over[i] = one.key
		}
		s.delist(ctx, subject, over...)
	}
	return ended, errors.Join(listErr, err)
}
