package methods

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// ErrDisabled means that the local user whom a provider's user is linked to may not
// sign in.
var ErrDisabled = errors.New("the user with that e-mail address may not sign in here")

// CheckLinks returns an error for a method that links to a method that does not exist.
func (all List) CheckLinks() error {
	for _, method := range all {
		linking, ok := method.(signin.EmailLinker)
		if !ok || linking.LinkEmail() == "" {
			continue
		}
		if all.emailFinder(linking.LinkEmail()) == nil {
			return fmt.Errorf("signin %s: link_email %s: there is no such sign-in method that knows its users' e-mail addresses; expected: local", method.ID(), linking.LinkEmail())
		}
	}
	return nil
}

// emailFinder returns the method with an ID, nil if it does not know e-mail addresses.
func (all List) emailFinder(id string) signin.EmailFinder {
	method, _ := all.Find(id).(signin.EmailFinder)
	return method
}

// linkedTo returns the method whose users another method signs in through their
// e-mail address, nil if there is none.
func (all List) linkedTo(method signin.Method) signin.EmailFinder {
	linking, ok := method.(signin.EmailLinker)
	if !ok || linking.LinkEmail() == "" {
		return nil
	}
	return all.emailFinder(linking.LinkEmail())
}

// Whose returns the user of this site for a user who signed in by a method.
func (all List) Whose(u session.User, method signin.Method) (session.User, error) {
	to := all.linkedTo(method)
	if to == nil || u.Email == "" {
		return all.own(u, method), nil
	}
	linked, there := to.ByEmail(u.Email)
	if !there {
		return all.own(u, method), nil
	}
	if _, may := to.Current(linked); !may {
		return session.User{}, ErrDisabled
	}
	return as(linked, u, method, to), nil
}

// current returns the current data of a user of another method who signed in by this
// one.
func (all List) current(u session.User, method signin.Method) (session.User, bool) {
	to := all.linkedTo(method)
	if to == nil || to.ID() != u.Linked {
		return session.User{}, false
	}
	if _, may := method.Current(u); !may {
		return session.User{}, false
	}
	asked := u
	if methodMark(method) != "" {
		asked.Mark = "" // the mark of a link is of both methods, and is compared below
	}
	linked, may := to.Current(asked)
	if !may || linked.Email != u.Email { // the address is what links the two
		return session.User{}, false
	}
	now := as(linked, u, method, to)
	return now, methodMark(method) == "" || now.Mark == u.Mark
}

// as returns a user of the method to, who signed in by another method as u. Claims are
// those that the other method stated. If that
// method is dynamic, the mark contains both marks: a later method with the same ID is
// another one.
func as(linked, u session.User, method, to signin.Method) session.User {
	linked.Signin, linked.Linked, linked.ProviderID, linked.Claims = method.ID(), to.ID(), u.ProviderID, u.Claims
	if mark := methodMark(method); mark != "" {
		sum := sha256.Sum256([]byte(linked.Mark + "\x00" + mark))
		linked.Mark = base64.RawURLEncoding.EncodeToString(sum[:12])
	}
	if linked.Avatar == "" {
		linked.Avatar = u.Avatar
	}
	return linked
}
