package oauth

import (
	"context"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/feedcache"
	"github.com/caddy-sso/caddy-sso/session"
)

// Attach ties a request to the token that it came with: the returned context
// ends, with cause [session.ErrEnded], when the token expires or its grant ends,
// here or on another node. Without scope offline it ends with the session, too,
// which it keeps from idling out.
//
// The caller must call release when the request is over.
func (s *Server) Attach(ctx context.Context, v *Verified) (attached context.Context, release func()) {
	attached, cancel := context.WithCancelCause(ctx)
	left := time.Unix(v.Claims.Expires, 0).Sub(s.Now())
	expiry := time.AfterFunc(left, func() { cancel(session.ErrEnded) })
	release = func() {
		expiry.Stop()
		cancel(nil)
	}
	if s.Verified != nil {
		release = s.Verified.attach(v, s.Sessions, cancel, release)
	}
	if v.Claims.Grant == "" || v.Claims.offline() {
		return attached, release
	}
	ended := release
	attached, detach := s.Sessions.Attach(attached, v.Session)
	return attached, func() {
		detach()
		ended()
	}
}

// CloseRequests ends the requests of users that match, as
// [session.Sessions.CloseRequests] does, and those that are attached to a grant alone.
func (s *Server) CloseRequests(match func(session.User) bool) {
	s.Sessions.CloseRequests(match)
	if s.Verified == nil {
		return
	}
	s.Verified.cache.feed.Requests.EndAll(func(r *grantRequest) bool { return match(r.user) })
}

// CloseBearers ends all requests that came with a token: one of the keys that
// signed them counts no more. A client with a token that still counts comes again with
// it.
func (c *TokenCache) CloseBearers() {
	c.feed.Requests.EndAll(feedcache.Any)
	c.own.EndAll(feedcache.Any)
}

// A grantRequest is attached to the grant of its token.
type grantRequest struct {
	sessions *session.Sessions // under the policy that it came with
	user     session.User
	offline  bool
}

// attach makes cancel known for the grant of a token.
func (t *VerifiedTokens) attach(v *Verified, sessions *session.Sessions, cancel context.CancelCauseFunc, release func()) func() {
	c, id := t.cache, v.Claims.Grant
	requests := c.feed.Requests
	if id == "" {
		requests = c.own
	}
	attachment := requests.Attach(id, grantRequest{sessions, v.User, v.Claims.offline()}, cancel)
	if id != "" {
		c.confirm(id)
	}
	return func() {
		attachment.Release()
		release()
	}
}

// confirm ends the requests of a grant that has ended, or has it read again if that
// is not sure.
func (c *TokenCache) confirm(id string) {
	if known, ok := c.grants.Peek(id); ok && known.Value.over() {
		c.feed.Requests.End(id)
	} else if since := c.grants.Since(id); since != 0 {
		c.feed.Recheck(id, since)
	}
}
