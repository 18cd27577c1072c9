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

// A ProviderSession describes the session at an OpenID provider that a session began
// with. It is only in the store, as long as the session lives.
type ProviderSession struct {
	// ID is the provider's ID of its session, or empty. An ID of more than 255 bytes
	// is not stored.
	ID string `json:"id,omitempty" cbor:"1,keyasint,omitempty"`

	// Refresh is a refresh token of the provider, sealed by the caller, or empty. A
	// token of more than 8 KiB is not stored.
	Refresh string `json:"refresh,omitempty" cbor:"2,keyasint,omitempty"`

	// Every is how often the provider is asked about a session in use: see
	// [Sessions.OnRecheck]. Zero: never.
	Every time.Duration `json:"every,omitempty" cbor:"3,keyasint,omitempty"`

	// Asked is the time of the last question, in milliseconds since 1970.
	Asked int64 `json:"asked,omitempty" cbor:"4,keyasint,omitempty"`

	// Sent is when the refresh token was sent to the provider without a known answer,
	// in milliseconds since 1970. Zero: none is waiting for an answer.
	Sent int64 `json:"sent,omitempty" cbor:"5,keyasint,omitempty"`

	// Refused is the value of Asked when the provider first refused the token. Zero:
	// it has not refused it.
	Refused int64 `json:"refused,omitempty" cbor:"6,keyasint,omitempty"`
}

// begun returns the value to store for a new session.
func (u ProviderSession) begun(now int64) ProviderSession {
	u.ID = whole(u.ID, longestUpstreamID)
	if u.Refresh == "" || len(u.Refresh) > longestRefresh || u.Every <= 0 {
		return ProviderSession{ID: u.ID}
	}
	u.Asked = now
	return u
}

// due reports whether the provider has to be asked.
func (u ProviderSession) due(now int64) bool {
	return u.Refresh != "" && now-u.Asked >= u.Every.Milliseconds()
}

// kept is the idle time of the policy that wrote the record, or less if its use must
// be stored more often.
func (r record) kept() int64 {
	if r.Upstream.Refresh == "" {
		return r.Idle
	}
	return min(r.Idle, 10*r.Upstream.Every.Milliseconds())
}

// OnRecheck sets the function that is called when a session is used and its provider
// has to be asked: on one node, and once in [ProviderSession].Every. fn must not
// block. With nil, other nodes and configurations ask.
func (s *Sessions) OnRecheck(fn func(Key)) {
	if fn == nil {
		s.recheck.Store(nil)
		return
	}
	s.recheck.Store(&fn)
}

// ProviderSession returns a live session and its provider session. The error is
// [ErrNone] if there is no such session.
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

// Renew replaces the provider session, except Asked, if the stored refresh token is
// still old. It returns false if the session has ended, or has another refresh token
// already.
func (s *Sessions) Renew(ctx context.Context, k Key, old string, next ProviderSession) (bool, error) {
	return s.change(ctx, &k, func(r *record) bool { return r.renew(old, next) })
}

func (r *record) renew(old string, next ProviderSession) bool {
	up := &r.Upstream
	if up.Refresh != old {
		return false
	}
	next.ID, next.Asked = up.ID, up.Asked
	if *up = next; len(up.Refresh) > longestRefresh {
		*up = ProviderSession{ID: up.ID}
	}
	return true
}

// RenewUser is [Sessions.Renew], and gives the session the groups, the e-mail address and
// the claims of u. Requests that are running keep those of before.
func (s *Sessions) RenewUser(ctx context.Context, k Key, old string, next ProviderSession, u User) (bool, error) {
	renewed, err := s.change(ctx, &k, func(r *record) bool {
		if r.Subject != u.Subject || !r.renew(old, next) {
			return false
		}
		r.Groups, r.Email, r.Claims = u.Groups, u.Email, u.Claims.packed
		return true
	})
	if renewed {
		s.cache.sessions.Drop(shortOf(&k))
	}
	return renewed, err
}

// OfProviderSession returns the live sessions of a user that match, by the user at
// sign-in and the provider's session ID.
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

// methods interns the IDs of a session's sign-in methods as one value; methodsOf is
// its inverse.
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
