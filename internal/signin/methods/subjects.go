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

// subjectNamer is the way with an ID, nil where there is none that is [signin.SubjectNamer].
func (all List) subjectNamer(id string) signin.SubjectNamer {
	for _, w := range all {
		if method, ok := w.(signin.SubjectNamer); ok && w.ID() == id {
			return method
		}
	}
	return nil
}

var (
	errSubjectOwned = errors.New("another way has subject own")
)

// Clash says what is wrong with a subject that a way gave beside the other ways: it is
// not that of a user of this configuration, nor the name or e-mail address of one, by
// which commands and attempts go; and only one way gives subjects of its own.
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

// CheckOwn says what is wrong with a subject that a way with own subjects gives.
func (all List) CheckOwn(subject string, method signin.Method) error {
	if err := subjects.CheckOwn(subject); err != nil {
		return err
	}
	return all.Clash(subject, method)
}

// Apart are the users of these ways, but for those whose subject is the ID of a client
// that has come since: its own tokens have it for theirs.
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

// IsClient says whether a subject is that of a client's own tokens.
func IsClient(clients *oauth.Clients, subject string) bool {
	client, known := clients.Get(subject)
	return known && !client.Public
}

// OwnID is what the way whose user somebody is calls them, "" where that is not
// known. Users of this configuration have no other ID than the subject.
func (all List) OwnID(u session.User) string {
	whose := cmp.Or(u.Linked, u.Signin)
	for _, w := range all {
		if _, named := w.(signin.NameFinder); named && w.ID() == whose {
			return u.Subject
		}
	}
	return u.ProviderID
}

// OtherSubject is the subject under which the same user may have sessions and grants
// from before their way got own subjects, or since; "" where there is none. An ID that
// could not be the user's subject now is somebody else's.
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
