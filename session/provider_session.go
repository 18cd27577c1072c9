package session

import (
	"context"
	"errors"
	"strings"
	"time"
)

const (
	longestUpstreamID = 255
	longestRefresh    = 8 << 10
)

// An ProviderSession is what a session keeps of the session at a provider elsewhere
// that it began with: in the store alone, and for as long as it lives.
type ProviderSession struct {
	// ID is what the provider calls its session, or empty. One of more than 255
	// bytes is not kept.
	ID string `json:"id,omitempty" cbor:"1,keyasint,omitempty"`

	// Refresh is a refresh token of the provider, sealed by the caller, or empty.
	// One of more than 8 KiB is not kept.
	Refresh string `json:"refresh,omitempty" cbor:"2,keyasint,omitempty"`

	// Every is after how long a use of the session asks for the provider to be
	// asked again: see [Sessions.OnRecheck]. Zero is never.
	Every time.Duration `json:"every,omitempty" cbor:"3,keyasint,omitempty"`

	// Asked is when that was last, in milliseconds since 1970.
	Asked int64 `json:"asked,omitempty" cbor:"4,keyasint,omitempty"`

	// Sent is since when the refresh token is with the provider without an answer
	// that is known, in milliseconds since 1970. Zero: it is not.
	Sent int64 `json:"sent,omitempty" cbor:"5,keyasint,omitempty"`

	// Refused is the Asked of when the provider first took such a token no more.
	// Zero: it did not.
	Refused int64 `json:"refused,omitempty" cbor:"6,keyasint,omitempty"`
}

// begun is what a session keeps that begins now.
func (u ProviderSession) begun(now int64) ProviderSession {
	u.ID = whole(u.ID, longestUpstreamID)
	if u.Refresh == "" || len(u.Refresh) > longestRefresh || u.Every <= 0 {
		return ProviderSession{ID: u.ID}
	}
	u.Asked = now
	return u
}

// due says whether the provider is to be asked.
func (u ProviderSession) due(now int64) bool {
	return u.Refresh != "" && now-u.Asked >= u.Every.Milliseconds()
}

// kept is the idle time of the policy under which a record was written, or less
// where its use is to be written down more often than that asks for.
func (r record) kept() int64 {
	if r.Upstream.Refresh == "" {
		return r.Idle
	}
	return min(r.Idle, 10*r.Upstream.Every.Milliseconds())
}

// OnRecheck says who is told, at a use of a session, that its provider is to be
// asked: on one node, and once in [ProviderSession].Every. fn must not block. Nil is
// nobody, and leaves it to other nodes and configurations.
func (s *Sessions) OnRecheck(fn func(Key)) {
	if fn == nil {
		s.recheck.Store(nil)
		return
	}
	s.recheck.Store(&fn)
}

// ProviderSession reads what a live session keeps, and whose it is. The error is
// [ErrNone] where there is no such session.
func (s *Sessions) ProviderSession(ctx context.Context, k Key) (*Session, ProviderSession, error) {
	value, ok, err := s.cache.store.Get(ctx, k.in(sessionPrefix))
	if err != nil {
		return nil, ProviderSession{}, unavailable("reading a session", err)
	}
	if !ok {
		return nil, ProviderSession{}, ErrNone
	}
	r, err := decodeRecord(value)
	if err != nil {
		s.cache.logger("session "+k.ID(), err)
		return nil, ProviderSession{}, unread(err)
	}
	found := newSession(k, r)
	if !s.terms.alive(found, s.cache.now()) {
		return nil, ProviderSession{}, ErrNone
	}
	return found, r.Upstream, nil
}

// Renew puts another refresh token, or the same, with all that says of it but for
// Asked, in the place of one, and says whether it did: not where the session has
// ended, or has another already.
func (s *Sessions) Renew(ctx context.Context, k Key, old string, next ProviderSession) (bool, error) {
	return s.change(ctx, &k, func(r *record) bool {
		up := &r.Upstream
		if up.Refresh != old {
			return false
		}
		next.ID, next.Asked = up.ID, up.Asked
		if *up = next; len(up.Refresh) > longestRefresh {
			*up = ProviderSession{ID: up.ID}
		}
		return true
	})
}

// OfProviderSession returns the live sessions of a user that match: how they began, and
// what the provider calls its session.
func (s *Sessions) OfProviderSession(ctx context.Context, subject string, match func(u User, id string) bool) ([]*Session, error) {
	listed, err := s.listing(ctx, subject)
	if err != nil {
		return nil, err
	}
	var all []*Session
	for _, e := range listed {
		found, up, err := s.ProviderSession(ctx, e.key)
		if errors.Is(err, ErrNone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if match(found.User(), up.ID) {
			all = append(all, found)
		}
	}
	return all, nil
}

// methods is how the ways of a session are interned, as one; methodsOf undoes it.
func methods(signin, linked string) string {
	if linked == "" {
		return signin
	}
	return signin + "\x00" + linked
}

func methodsOf(interned string) (signin, linked string) {
	signin, linked, _ = strings.Cut(interned, "\x00")
	return signin, linked
}
