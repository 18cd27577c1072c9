package oauthtest

import (
	"sync"

	"github.com/caddy-sso/caddy-sso/session"
)

// People are the users of now: as they signed in, unless a test changes them.
type People struct{ now sync.Map }

// Current implements [oauth.Users].
func (p *People) Current(u session.User) (session.User, bool) {
	if now, changed := p.now.Load(u.Subject); changed {
		current, there := now.(session.User)
		return current, there
	}
	return u, true
}

// Remove makes that there is no such user.
func (p *People) Remove(u session.User) { p.now.Store(u.Subject, nil) }

// Change replaces what is known of a user.
func (p *People) Change(u session.User) { p.now.Store(u.Subject, u) }

// Restore takes that back.
func (p *People) Restore(u session.User) { p.now.Delete(u.Subject) }
