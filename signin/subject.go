package signin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// subjects says how the users of a way get their subjects.
type subjects struct {
	own          bool
	kind, within string // what subjects are derived of, beside the ID
}

// OwnSubjects implements [Naming].
func (s subjects) OwnSubjects() bool { return s.own }

// Derived implements [Naming].
func (s subjects) Derived(id string) string { return deriveSubject(s.kind, s.within+"\x00"+id) }

func (s subjects) of(id string) string {
	if s.own {
		return id
	}
	return s.Derived(id)
}

// Naming is a way that has an ID for each of its users.
type Naming interface {
	Way

	// OwnSubjects says whether that ID is the user's subject. If not, the subject
	// is derived from it. At most one way of a configuration has own subjects.
	OwnSubjects() bool

	// Derived is the subject that is derived from an ID.
	Derived(id string) string
}

// naming is the way with an ID, nil where there is none that is [Naming].
func (ws Ways) naming(id string) Naming {
	for _, w := range ws {
		if way, ok := w.(Naming); ok && w.ID() == id {
			return way
		}
	}
	return nil
}

// What is wrong with a subject that a way gave a user. No own subject looks like a
// derived one, so it is never that of a user of another way, whoever that may be and
// whenever they come.
var (
	errSubjectText    = errors.New("it is not 1 to 255 printable ASCII characters without spaces")
	errSubjectDerived = errors.New("it is a UUID of version 5, as the portal derives them for users of other ways")
	errSubjectOwned   = errors.New("another way has subject own")
	errSubjectClient  = errors.New("it is the ID of a client that gets tokens of its own")
)

// checkOwnSubject says what is wrong with a subject by itself.
func checkOwnSubject(subject string) error {
	if subject == "" || len(subject) > maxSubject || !printableASCII(subject) {
		return errSubjectText
	}
	if isDerived(uuidOf(subject)) {
		return errSubjectDerived
	}
	return nil
}

// uuidOf is a UUID as the portal writes it, however else it may be written; any
// other text comes back, in lower case.
func uuidOf(text string) string {
	text = strings.TrimPrefix(strings.ToLower(text), "urn:uuid:")
	return strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
}

// isDerived says whether a subject has the form of those of [deriveSubject]: a UUID
// of version 5. IDs of 32 digits without hyphens do not count, since many are hashes,
// of which some would look like one.
func isDerived(subject string) bool {
	if len(subject) != 36 || subject[14] != '5' || subject[19] != '8' && subject[19] != '9' && subject[19] != 'a' && subject[19] != 'b' {
		return false
	}
	for i := range len(subject) {
		c := subject[i]
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		digit := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if hyphen != (c == '-') || hyphen == digit {
			return false
		}
	}
	return true
}

// clash says what is wrong with a subject that a way gave beside the other ways: it is
// not that of a user of this configuration, nor the name or e-mail address of one, by
// which commands and attempts go; and only one way gives subjects of its own.
func (ws Ways) clash(subject string, way Way) error {
	if isDerived(subject) {
		return nil
	}
	for _, w := range ws {
		if w.ID() == way.ID() {
			continue
		}
		if other, ok := w.(Naming); ok && other.OwnSubjects() {
			return errSubjectOwned
		}
		named, ok := w.(Named)
		if !ok {
			continue
		}
		if named.NameOf(uuidOf(subject)) != "" {
			return fmt.Errorf("it is that of a user of signin %s", w.ID())
		}
		if _, there := named.Find(subject); there {
			return fmt.Errorf("it is the name or the e-mail address of a user of signin %s", w.ID())
		}
	}
	return nil
}

// checkSubject refuses the subject that a way gave a user who signs in.
func (h *Hosted) checkSubject(u session.User) error {
	way := h.Ways.find(u.Signin)
	if way == nil || u.Linked != "" {
		return nil
	}
	if _, named := way.(Named); named {
		return nil
	}
	if naming, ok := way.(Naming); ok && naming.OwnSubjects() {
		if err := checkOwnSubject(u.Subject); err != nil {
			return err
		}
	}
	if client, known := h.Server.Clients.Get(u.Subject); known && !client.Public {
		return errSubjectClient
	}
	return h.Ways.clash(u.Subject, way)
}

// errSubject says that somebody was refused for their subject.
var errSubject = errors.New("the subject of the user cannot be taken as it is")

// admit refuses somebody who has proved who they are, and whose subject is that of
// somebody else, or could be.
func (h *Hosted) admit(r *http.Request, u session.User, client *oauth.Client) *oauth.Error {
	err := h.checkSubject(u)
	if err == nil {
		return nil
	}
	h.warnOf(&h.refusedSubjects, u.Signin, err, r, "somebody is not signed in, since their subject cannot be taken as it is; give them another ID where they come from, or leave out subject own and have {user.id} in a claim",
		zap.String("signin", u.Signin), zap.String("subject", u.Subject))
	h.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, User: u, Client: client, From: h.From(r), Why: errSubject.Error(), Said: err.Error()})
	return &oauth.Error{
		Kind: oauth.Denied, Description: "The ID of this account belongs to somebody else here, or cannot be used. The operator's log says why.",
		Cause: errSubject,
	}
}

// notAdmitted says that an account has an ID that nobody can have here.
func (h *Hosted) notAdmitted(w http.ResponseWriter, r *http.Request, b browser, way Redirecting, p purpose, user session.User) {
	name, _ := way.Label()
	h.otherAccount(w, r, http.StatusForbidden, b, way, p, page.Message{
		Code:  "010-026",
		Title: "This account cannot be used here",
		Text:  "At " + name + " you are signed in as " + calledBy(user) + ". The ID of that account belongs to somebody else here, or cannot be used.",
		Next:  "You have not been signed in here. Use another account, or tell the people who run this site.",
		Link:  &page.Link{Text: "Use another account"},
	})
}

// OwnID is what the way whose user somebody is calls them, "" where that is not
// known. Users of this configuration have no other ID than the subject.
func (ws Ways) OwnID(u session.User) string {
	whose := cmp.Or(u.Linked, u.Signin)
	for _, w := range ws {
		if _, named := w.(Named); named && w.ID() == whose {
			return u.Subject
		}
	}
	return u.ProviderID
}

// OtherSubject is the subject under which the same user may have sessions and grants
// from before their way got own subjects, or since; "" where there is none.
func (ws Ways) OtherSubject(u session.User) string {
	way := ws.naming(u.Signin)
	switch {
	case way == nil || u.Linked != "" || !way.OwnSubjects():
		return ""
	case !isDerived(u.Subject):
		return way.Derived(u.Subject)
	case u.ProviderID != "" && way.Derived(u.ProviderID) == u.Subject:
		return u.ProviderID
	}
	return ""
}
