package portal

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// finishSignIn takes a user whose first factor was right through the steps, and begins
// their session. While a step is pending, it returns that and begins no session.
func (h *Hosted) finishSignIn(w http.ResponseWriter, r *http.Request, f FirstFactor) (oauth.SignedIn, *Pending, error) {
	for _, step := range h.Steps {
		pending, err := step.Check(r, f)
		if pending != nil || err != nil {
			return oauth.SignedIn{}, pending, err
		}
	}
	in, err := h.beginSession(w, r, f)
	return in, nil, err
}

// finishOnPage is finishSignIn for a browser that shows a page. It answers the request.
func (h *Hosted) finishOnPage(w http.ResponseWriter, r *http.Request, f FirstFactor) {
	_, pending, err := h.finishSignIn(w, r, f)
	switch {
	case err != nil:
		h.failedFor(w, r, f.context, err)
	case pending != nil:
		pending.Page(w, r)
	default:
		h.redirectBack(w, r, f.context)
	}
}

// errMayNotSignIn means that a user was disabled, or got another password, during the
// sign-in.
var errMayNotSignIn = errors.New("the user may no longer sign in")

// beginSession begins a session, with a new token in place of the one that the browser
// had.
func (h *Hosted) beginSession(w http.ResponseWriter, r *http.Request, f FirstFactor) (oauth.SignedIn, error) {
	in := session.SignIn{User: f.User, Agent: r.UserAgent(), From: string(h.From(r))}
	if p := f.provider; p != nil {
		if in.AuthTime = p.signIn.AuthTime; in.AuthTime.IsZero() {
			in.AuthTime = session.UnknownAuthTime
		}
		var err error
		if in.Upstream, err = h.storeProviderIDs(r, p.method, p.signIn); err != nil {
			return oauth.SignedIn{}, err
		}
	}
	if err := h.setDevice(r.Context(), w, f.device); err != nil {
		return oauth.SignedIn{}, err
	}
	before, _ := h.Session.Value(r)
	token, sess, err := h.Server.BeginSession(r.Context(), in, before)
	if err != nil {
		return oauth.SignedIn{}, err
	}
	now, may := h.Server.Users.Current(f.User)
	if !may {
		// The user's sessions were ended meanwhile, and this one was not among them.
		return oauth.SignedIn{}, errors.Join(errMayNotSignIn, h.Server.Sessions.End(r.Context(), sess.Key()))
	}
	h.Session.Set(w, token.Encode(), h.Lifetime)
	h.Server.Audit.Record(oauth.Event{What: oauth.SignedInEvent, User: f.User, Client: f.context.client(), Session: sess, From: h.From(r)})
	return oauth.SignedIn{Session: sess, User: now}, nil
}

var errSubjectClient = errors.New("it is the ID of a client that gets tokens of its own")

// checkSubject returns an error if a user must not sign in with the subject that the
// method returned.
func (h *Hosted) checkSubject(u session.User) error {
	method := h.Methods.Find(u.Signin)
	if method == nil || u.Linked != "" {
		return nil
	}
	if _, named := method.(signin.NameFinder); named {
		return nil
	}
	if methods.IsClient(h.Server.Clients, u.Subject) {
		return errSubjectClient
	}
	if naming, ok := method.(signin.SubjectNamer); ok && naming.OwnSubjects() {
		return h.Methods.CheckOwn(u.Subject, method)
	}
	return h.Methods.Clash(u.Subject, method)
}

// errSubject means that a user was refused because of their subject.
var errSubject = errors.New("the subject of the user cannot be taken as it is")

// admit refuses a user who has proved who they are, if their subject is that of another
// user, or could be.
func (h *Hosted) admit(r *http.Request, u session.User, client *oauth.Client) *oauth.Error {
	err := h.checkSubject(u)
	if err == nil {
		return nil
	}
	h.warnOf(&h.refusedSubjects, u.Signin, err, r, "a user was not signed in, because their subject cannot be used; give the user another ID where they come from, or remove subject own and put {user.id} into a claim",
		zap.String("signin", u.Signin), zap.String("subject", u.Subject))
	h.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, User: u, Client: client, From: h.From(r), Why: errSubject.Error(), Said: err.Error()})
	return &oauth.Error{
		Kind: oauth.Denied, Description: "The ID of this account belongs to another user here, or cannot be used. The operator's log says why.",
		Cause: errSubject,
	}
}

// notAdmitted answers that no user can have the ID of the account here.
func (h *Hosted) notAdmitted(w http.ResponseWriter, r *http.Request, b knownDevice, method signin.ProviderMethod, p signInContext, user session.User) {
	name, _ := method.Label()
	h.otherAccount(w, r, http.StatusForbidden, b, method, p, page.Message{
		Code: "010-026", Fault: page.FaultAccountIDRefused, Reason: page.ReasonAccountAtProvider(name, accountName(user)),
		Link: &page.Link{Label: page.LinkAnotherAccount},
	})
}
