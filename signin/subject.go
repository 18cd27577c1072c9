package signin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// subjects says how the users of a way get their subjects.
type subjects struct {
	own          bool
	kind, within string // what subjects are derived of, beside the ID
}

// OwnSubjects implements [SubjectNamer].
func (s subjects) OwnSubjects() bool { return s.own }

// Derived implements [SubjectNamer].
func (s subjects) Derived(id string) string { return deriveSubject(s.kind, s.within+"\x00"+id) }

func (s subjects) of(id string) string {
	if s.own {
		return id
	}
	return s.Derived(id)
}

// SubjectNamer is a way that has an ID for each of its users.
type SubjectNamer interface {
	Method

	// OwnSubjects says whether that ID is the user's subject. If not, the subject
	// is derived from it. At most one way of a configuration has own subjects.
	OwnSubjects() bool

	// Derived is the subject that is derived from an ID.
	Derived(id string) string
}

// subjectNamer is the way with an ID, nil where there is none that is [SubjectNamer].
func (ws Methods) subjectNamer(id string) SubjectNamer {
	for _, w := range ws {
		if method, ok := w.(SubjectNamer); ok && w.ID() == id {
			return method
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

// hyphened is a UUID with its hyphens, of which many programs do not need any; any
// other text comes back.
func hyphened(text string) string {
	if len(text) != 32 {
		return text
	}
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
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
func (ws Methods) clash(subject string, method Method) error {
	if isDerived(subject) {
		return nil
	}
	for _, w := range ws {
		if w.ID() == method.ID() {
			continue
		}
		if other, ok := w.(SubjectNamer); ok && other.OwnSubjects() {
			return errSubjectOwned
		}
		named, ok := w.(NameFinder)
		if !ok {
			continue
		}
		if named.NameOf(hyphened(uuidOf(subject))) != "" {
			return fmt.Errorf("it is that of a user of signin %s", w.ID())
		}
		if _, there := named.Find(subject); there {
			return fmt.Errorf("it is the name or the e-mail address of a user of signin %s", w.ID())
		}
	}
	return nil
}

// checkOwn says what is wrong with a subject that a way with own subjects gives.
func (ws Methods) checkOwn(subject string, method Method) error {
	if err := checkOwnSubject(subject); err != nil {
		return err
	}
	return ws.clash(subject, method)
}

// Apart are the users of these ways, but for those whose subject is the ID of a client
// that has come since: its own tokens have it for theirs.
func (ws Methods) Apart(from *oauth.Clients) oauth.Users { return apart{ws, from} }

type apart struct {
	methods Methods
	from    *oauth.Clients
}

// Current implements [oauth.Users].
func (a apart) Current(u session.User) (session.User, bool) {
	now, may := a.methods.Current(u)
	if may && isClient(a.from, now.Subject) {
		return session.User{}, false
	}
	return now, may
}

// isClient says whether a subject is that of a client's own tokens.
func isClient(clients *oauth.Clients, subject string) bool {
	client, known := clients.Get(subject)
	return known && !client.Public
}

// checkSubject refuses the subject that a way gave a user who signs in.
func (h *Hosted) checkSubject(u session.User) error {
	method := h.Methods.find(u.Signin)
	if method == nil || u.Linked != "" {
		return nil
	}
	if _, named := method.(NameFinder); named {
		return nil
	}
	if isClient(h.Server.Clients, u.Subject) {
		return errSubjectClient
	}
	if naming, ok := method.(SubjectNamer); ok && naming.OwnSubjects() {
		return h.Methods.checkOwn(u.Subject, method)
	}
	return h.Methods.clash(u.Subject, method)
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
func (h *Hosted) notAdmitted(w http.ResponseWriter, r *http.Request, b knownDevice, method ProviderMethod, p signInContext, user session.User) {
	name, _ := method.Label()
	h.otherAccount(w, r, http.StatusForbidden, b, method, p, page.Message{
		Code: "010-026", Fault: page.FaultAccountIDRefused, Reason: page.ReasonAccountAtProvider(name, calledBy(user)),
		Link: &page.Link{Label: page.LinkAnotherAccount},
	})
}

// OwnID is what the way whose user somebody is calls them, "" where that is not
// known. Users of this configuration have no other ID than the subject.
func (ws Methods) OwnID(u session.User) string {
	whose := cmp.Or(u.Linked, u.Signin)
	for _, w := range ws {
		if _, named := w.(NameFinder); named && w.ID() == whose {
			return u.Subject
		}
	}
	return u.ProviderID
}

// OtherSubject is the subject under which the same user may have sessions and grants
// from before their way got own subjects, or since; "" where there is none. An ID that
// could not be the user's subject now is somebody else's.
func (ws Methods) OtherSubject(u session.User) string {
	method := ws.subjectNamer(u.Signin)
	switch {
	case method == nil || u.Linked != "" || !method.OwnSubjects():
		return ""
	case !isDerived(u.Subject):
		return method.Derived(u.Subject)
	case u.ProviderID != "" && method.Derived(u.ProviderID) == u.Subject && ws.checkOwn(u.ProviderID, method) == nil:
		return u.ProviderID
	}
	return ""
}
