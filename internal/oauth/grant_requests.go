package oauth

import (
	"context"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/feedcache"
	"github.com/caddy-sso/caddy-sso/session"
)

// Attach attaches a request to its access token. The returned context ends, with
// cause [session.ErrEnded], when the token expires or its grant ends, here or on
// another node. Without the scope offline it also ends with the session; the request
// keeps the session from becoming idle.
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

// CloseRequests ends the requests of users that match: those of
// [session.Sessions.CloseRequests], and those that are attached only to a grant.
func (s *Server) CloseRequests(match func(session.User) bool) {
	s.Sessions.CloseRequests(match)
	if s.Verified == nil {
		return
	}
	s.Verified.cache.feed.Requests.EndAll(func(r *grantRequest) bool { return match(r.user) })
}

// CloseBearers ends all requests with an access token, because a signing key was
// withdrawn. A client whose token is still valid can repeat its request.
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

// attach registers cancel for the grant of a token.
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

// confirm ends the requests of a grant that is known to have ended. If that is not
// known for sure, it has the grant read again.
func (c *TokenCache) confirm(id string) {
	if known, ok := c.grants.Peek(id); ok && known.Value.over() {
		c.feed.Requests.End(id)
	} else if since := c.grants.Since(id); since != 0 {
		c.feed.Recheck(id, since)
	}
}
