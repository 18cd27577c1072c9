package methods

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// A PasswordChain has the methods that check a password from one form. A name belongs
// to the method that knows it, so that no other method gets its password. Any other
// name goes, in order, to the methods that ask a server.
type PasswordChain struct {
	all     List
	knowing []knower
	asked   []signin.PasswordMethod
}

// A knower knows the names of its users.
type knower struct {
	signin.PasswordMethod
	named signin.NameFinder
}

// A reserver checks a password in two parts: Reserve waits for a turn, and check uses
// it. check must be called.
type reserver interface {
	Reserve(ctx context.Context, c signin.Credentials) (check func() (session.User, error), err error)
}

// PasswordMethods returns the allowed methods that check a password, as one; nil if
// there is none.
func (all List) PasswordMethods(allowed []string) *PasswordChain {
	s := &PasswordChain{all: all}
	for _, w := range all {
		method, ok := w.(signin.PasswordMethod)
		if !ok || !allows(allowed, w) {
			continue
		}
		if named, ok := w.(signin.NameFinder); ok {
			s.knowing = append(s.knowing, knower{method, named})
		} else {
			s.asked = append(s.asked, method)
		}
	}
	if len(s.knowing)+len(s.asked) == 0 {
		return nil
	}
	return s
}

// AcceptsPassword reports whether the method with an ID checks passwords, and is allowed.
func (all List) AcceptsPassword(id string, allowed []string) bool {
	return slices.ContainsFunc(all, func(w signin.Method) bool {
		_, ok := w.(signin.PasswordMethod)
		return ok && w.ID() == id && allows(allowed, w)
	})
}

// Find returns the user with a name, and the method that knows the name.
func (s *PasswordChain) Find(name string) (u session.User, method signin.PasswordMethod) {
	for _, k := range s.knowing {
		if u, there := k.named.Find(name); there {
			return u, k.PasswordMethod
		}
	}
	return session.User{}, nil
}

// Spellings returns the keys under which failed attempts at a name are counted. It
// has an entry for every method, even if one method knows the name and no other is
// asked: a client must not find that out.
func (s *PasswordChain) Spellings(name string) []string {
	all := make([]string, 0, len(s.knowing)+len(s.asked))
	for _, k := range s.knowing {
		all = append(all, k.ID()+" "+k.Account(name))
	}
	for _, method := range s.asked {
		all = append(all, method.ID()+" "+method.Account(name))
	}
	return all
}

// Check checks a password as [signin.PasswordMethod] does. For a name that no method
// knows, the methods that know names do the work of a wrong password at the same time. So
// the time of an answer tells at most that another method was asked.
func (s *PasswordChain) Check(ctx context.Context, c signin.Credentials) (session.User, error) {
	if _, method := s.Find(c.Name); method != nil {
		return method.Check(ctx, c)
	}
	decoy := c
	decoy.Whose = nil
	wrong := make([]error, len(s.knowing))
	var meanwhile sync.WaitGroup
	defer meanwhile.Wait()
	for i, k := range s.knowing {
		work := func() (session.User, error) { return k.Check(ctx, decoy) }
		if limited, ok := k.PasswordMethod.(reserver); ok {
			// If there is no room to wait, the request fails before another method is
			// asked, as it does for a name that this method knows.
			check, err := limited.Reserve(ctx, decoy)
			if err != nil {
				return session.User{}, err
			}
			work = check
		}
		meanwhile.Go(func() {
			_, err := work()
			wrong[i] = cmp.Or(err, signin.ErrWrong)
		})
	}
	var failures []error
	for _, method := range s.asked {
		u, err := method.Check(ctx, c)
		if err == nil {
			return s.all.own(u, method), nil
		}
		failures = append(failures, err)
	}
	if len(s.asked) == 0 {
		meanwhile.Wait()
		failures = wrong
	}
	// All of them: if one method is down, a password that another found wrong still
	// counts as a failed attempt.
	return session.User{}, errors.Join(failures...)
}

// own returns a user as one of a method. The result has no name that belongs to a
// user of another method, or that a backend or a person could mistake for such a
// name.
func (all List) own(u session.User, method signin.Method) session.User {
	u.Signin, u.Name = method.ID(), username.Spaced(u.Name)
	if !username.Visible(u.Name) || all.Taken(u.Name) {
		u.Name = u.Email
	}
	if u.Name == "" || !username.Visible(u.Name) || all.Taken(u.Name) {
		u.Name = u.Subject
	}
	return u
}

// Called returns the users whom the configuration may know by a name. Beside the users of
// that name, these are users with a subject that was derived from the name, which the
// configuration may no longer contain, and users whose own subject is the name.
func (all List) Called(name string) []session.User {
	var users []session.User
	for _, w := range all {
		if naming, ok := w.(signin.SubjectNamer); ok && naming.OwnSubjects() {
			users = append(users, session.User{Subject: naming.Derived(name), Name: name})
		}
		named, ok := w.(signin.NameFinder)
		if !ok {
			continue
		}
		if u, there := named.Find(name); there {
			users = append(users, u)
		}
		if c, err := username.Canonical(name); err == nil {
			users = append(users, session.User{Subject: subjects.Derive("local", c)})
		}
	}
	return users
}
