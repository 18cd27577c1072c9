package methods

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// subjectNamer returns the method with an ID, nil if it is no [signin.SubjectNamer].
func (all List) subjectNamer(id string) signin.SubjectNamer {
	for _, w := range all {
		if method, ok := w.(signin.SubjectNamer); ok && w.ID() == id {
			return method
		}
	}
	return nil
}

var errSubjectOwned = errors.New("another sign-in method has subject own")

// Clash returns an error if a subject of a method conflicts with the other methods.
// It must not be the subject of a user of this configuration. It must not be the name
// or the e-mail address of one, because commands and failed attempts use these. And
// only one method may have subjects of its own.
func (all List) Clash(subject string, method signin.Method) error {
	if subjects.IsDerived(subject) {
		return nil
	}
	for _, w := range all {
		if w.ID() == method.ID() {
			continue
		}
		if other, ok := w.(signin.SubjectNamer); ok && other.OwnSubjects() {
			return errSubjectOwned
		}
		named, ok := w.(signin.NameFinder)
		if !ok {
			continue
		}
		if named.NameOf(subjects.Hyphened(subjects.UUID(subject))) != "" {
			return fmt.Errorf("it is that of a user of signin %s", w.ID())
		}
		if _, there := named.Find(subject); there {
			return fmt.Errorf("it is the name or the e-mail address of a user of signin %s", w.ID())
		}
	}
	return nil
}

// CheckOwn returns an error if a method with own subjects must not use a subject.
func (all List) CheckOwn(subject string, method signin.Method) error {
	if err := subjects.CheckOwn(subject); err != nil {
		return err
	}
	return all.Clash(subject, method)
}

// Apart returns the users of these methods, without those whose subject has become the ID
// of a client: the tokens of that client itself have this subject.
func (all List) Apart(from *oauth.Clients) oauth.Users { return apart{all, from} }

type apart struct {
	methods List
	from    *oauth.Clients
}

// Current implements [oauth.Users].
func (a apart) Current(u session.User) (session.User, bool) {
	now, may := a.methods.Current(u)
	if may && IsClient(a.from, now.Subject) {
		return session.User{}, false
	}
	return now, may
}

// IsClient reports whether a subject is that of a client's own tokens.
func IsClient(clients *oauth.Clients, subject string) bool {
	client, known := clients.Get(subject)
	return known && !client.Public
}

// OwnID returns the method's own ID of a user, "" if it is unknown. Users of this
// configuration have no other ID than the subject.
func (all List) OwnID(u session.User) string {
	whose := cmp.Or(u.Linked, u.Signin)
	for _, w := range all {
		if _, named := w.(signin.NameFinder); named && w.ID() == whose {
			return u.Subject
		}
	}
	return u.ProviderID
}

// OtherSubject returns the other subject under which the same user may have sessions and
// grants: from before their method got own subjects, or from after. It is "" if there is
// none. An ID that could not be the user's subject now belongs to another user.
func (all List) OtherSubject(u session.User) string {
	method := all.subjectNamer(u.Signin)
	switch {
	case method == nil || u.Linked != "" || !method.OwnSubjects():
		return ""
	case !subjects.IsDerived(u.Subject):
		return method.Derived(u.Subject)
	case u.ProviderID != "" && method.Derived(u.ProviderID) == u.Subject && all.CheckOwn(u.ProviderID, method) == nil:
		return u.ProviderID
	}
	return ""
}
