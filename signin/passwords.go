package signin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/caddy-sso/caddy-sso/session"
)

// several ways take a password by one form. A name belongs to the way that
// knows it, so nobody else gets to see its password; any other goes to the ways
// that have to ask, in order.
type several struct {
	all     Ways
	knowing []knower
	asked   []Passwords
}

// A knower knows the names of its users.
type knower struct {
	Passwords
	named Named
}

// passwords are the ways that take a password for p, as one; nil where none
// does.
func (ws Ways) passwords(p purpose) *several {
	s := &several{all: ws}
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
	if len(s.knowing)+len(s.asked) == 0 {
		return nil
	}
	return s
}

// takesPassword says whether the way with an ID takes a password for p.
func (ws Ways) takesPassword(id string, p purpose) bool {
	return slices.ContainsFunc(ws, func(w Way) bool {
		_, ok := w.(Passwords)
		return ok && w.ID() == id && p.counts(w)
	})
}

// find returns the user who is known to have a name, and the way that knows it.
func (s *several) find(name string) (u session.User, way Passwords) {
	for _, k := range s.knowing {
		if u, there := k.named.Find(name); there {
			return u, k.Passwords
		}
	}
	return session.User{}, nil
}

// spellings are what a name is counted by: at every way, though one may know it
// and no other be asked, since that is nobody's to find out.
func (s *several) spellings(name string) []string {
	all := make([]string, 0, len(s.knowing)+len(s.asked))
	for _, k := range s.knowing {
		all = append(all, k.ID()+" "+k.Account(name))
	}
	for _, way := range s.asked {
		all = append(all, way.ID()+" "+way.Account(name))
	}
	return all
}

// check checks a password as [Passwords] does. For a name that no way knows, those
// that know names do the work of a wrong password meanwhile. How long an answer takes
// then tells of a name at most that somebody else was asked for it.
func (s *several) check(ctx context.Context, c Credentials) (session.User, error) {
	if _, way := s.find(c.Name); way != nil {
		return way.Check(ctx, c)
	}
	decoy := c
	decoy.Whose = nil
	wrong := make([]error, len(s.knowing))
	var meanwhile sync.WaitGroup
	defer meanwhile.Wait()
	for i, k := range s.knowing {
		work := func() error {
			_, err := k.Check(ctx, decoy)
			return err
		}
		if local, ok := k.Passwords.(*Local); ok {
			// Who has no place to wait in is told so before anybody is asked, as for
			// a name that it knows.
			leave, err := local.enter(ctx, decoy)
			if err != nil {
				return session.User{}, err
			}
			work = func() error {
				defer leave()
				_, err := local.compare(decoy)
				return err
			}
		}
		meanwhile.Go(func() { wrong[i] = cmp.Or(work(), ErrWrong) })
	}
	var failures []error
	for _, way := range s.asked {
		u, err := way.Check(ctx, c)
		if err == nil {
			return s.all.own(u, way), nil
		}
		failures = append(failures, err)
	}
	if len(s.asked) == 0 {
		meanwhile.Wait()
		failures = wrong
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

// Called are those whom the configuration may know by a name: users of that name,
// and who would have it as the subject, which comes from the name of a user who is
// not in the configuration any more, or is now an own subject.
func (ws Ways) Called(name string) []session.User {
	var all []session.User
	for _, w := range ws {
		if naming, ok := w.(Naming); ok && naming.OwnSubjects() {
			all = append(all, session.User{Subject: naming.Derived(name), Name: name})
		}
		named, ok := w.(Named)
		if !ok {
			continue
		}
		if u, there := named.Find(name); there {
			all = append(all, u)
		}
		if c, err := canonical(name); err == nil {
			all = append(all, session.User{Subject: deriveSubject("local", c)})
		}
	}
	return all
}
