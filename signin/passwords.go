package signin

import (
	"context"
	"errors"
	"sync"

	"github.com/caddy-sso/caddy-sso/session"
)

// passwords are the ways that take a password for p, as one; nil where none
// does.
func (ws Ways) passwords(p purpose) Passwords {
	s := several{all: ws}
	for _, w := range ws {
		way, ok := w.(Passwords)
		if !ok || !p.counts(w) {
			continue
		}
		if named, ok := w.(Named); ok {
			s.knowing = append(s.knowing, knower{way, named})
		} else {
			s.asked = append(s.asked, way)
		}
	}
	switch {
	case len(s.asked) > 0:
		return s
	case len(s.knowing) == 1:
		return s.knowing[0]
	case len(s.knowing) > 1:
		// For a name that no way knows the last one does the work of a wrong
		// password.
		s.asked = append(s.asked, s.knowing[len(s.knowing)-1])
		s.knowing = s.knowing[:len(s.knowing)-1]
		return s
	}
	return nil
}

// several ways take a password by one form. A name belongs to the way that
// knows it, so nobody else gets to see its password; any other goes to the ways
// that have to ask, in order.
type several struct {
	all     Ways
	knowing []knower
	asked   []Passwords // at least one
}

// A knower knows the names of its users.
type knower struct {
	Passwords
	named Named
}

func (s several) ID() string { return s.asked[0].ID() }

// Current implements [Way].
func (s several) Current(u session.User) (session.User, bool) { return s.all.Current(u) }

func (s several) knows(name string) Passwords {
	for _, way := range s.knowing {
		if way.named.Has(name) {
			return way
		}
	}
	return nil
}

// Account implements [Passwords].
func (s several) Account(name string) string {
	if way := s.knows(name); way != nil {
		return way.Account(name)
	}
	return s.asked[0].Account(name)
}

// Check implements [Passwords]. For a name that no way knows, those that know
// names do the work of a wrong password meanwhile. How long an answer takes then
// tells of a name at most that somebody else was asked for it.
func (s several) Check(ctx context.Context, c Credentials) (session.User, error) {
	if way := s.knows(c.Name); way != nil {
		return way.Check(ctx, c)
	}
	var meanwhile sync.WaitGroup
	defer meanwhile.Wait()
	for _, way := range s.knowing {
		meanwhile.Go(func() { way.Check(ctx, c) }) //nolint:errcheck // it is wrong
	}
	var failures []error
	for _, way := range s.asked {
		u, err := way.Check(ctx, c)
		if err == nil {
			return s.all.own(u, way), nil
		}
		failures = append(failures, err)
	}
	// All of them: that one is down does not make what another found wrong count
	// for nothing.
	return session.User{}, errors.Join(failures...)
}

// own makes a user one of a way: none that another way would have to vouch for,
// and none whom a backend, or a person, could take for a user of this
// configuration.
func (ws Ways) own(u session.User, way Way) session.User {
	u.Signin, u.Name = way.ID(), spaced(u.Name)
	if !visible(u.Name) || ws.taken(u.Name) {
		u.Name = u.Email
	}
	if u.Name == "" || !visible(u.Name) || ws.taken(u.Name) {
		u.Name = u.Subject
	}
	return u
}
