package methods

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// ErrDisabled says that a user of this very site may not sign in.
var ErrDisabled = errors.New("the user with that e-mail address may not sign in here")

// CheckLinks refuses ways that link to what is not there.
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

// emailFinder is the way with an ID, nil where there is none that knows addresses.
func (all List) emailFinder(id string) signin.EmailFinder {
	method, _ := all.Find(id).(signin.EmailFinder)
	return method
}

// linkedTo is the way that another signs users in to by their e-mail address, nil
// where there is none.
func (all List) linkedTo(method signin.Method) signin.EmailFinder {
	linking, ok := method.(signin.EmailLinker)
	if !ok || linking.LinkEmail() == "" {
		return nil
	}
	return all.emailFinder(linking.LinkEmail())
}

// Whose is the user that somebody who signed in by a way is here.
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

// current is what is known now of a user of another way who signed in by way.
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
		asked.Mark = "" // it is that of both, which is compared below
	}
	linked, may := to.Current(asked)
	if !may || linked.Email != u.Email { // by which they came
		return session.User{}, false
	}
	now := as(linked, u, method, to)
	return now, methodMark(method) == "" || now.Mark == u.Mark
}

// as is a user of another way, who signed in by way as u. Where that way comes and
// goes, the mark is of both: a later way with its ID is another.
func as(linked, u session.User, method, to signin.Method) session.User {
	linked.Signin, linked.Linked, linked.ProviderID = method.ID(), to.ID(), u.ProviderID
	if mark := methodMark(method); mark != "" {
		sum := sha256.Sum256([]byte(linked.Mark + "\x00" + mark))
		linked.Mark = base64.RawURLEncoding.EncodeToString(sum[:12])
	}
	if linked.Avatar == "" {
		linked.Avatar = u.Avatar
	}
	return linked
}
