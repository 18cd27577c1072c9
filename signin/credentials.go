package signin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// SignIn signs in whoever has a name and a password, for an API that takes them
// as data. Limits, work and waiting are those of the hosted page, and so is what
// the browser's cookie tells; the session's cookie is set as there. Whether the
// request may come from where it does is the caller's to check.
func (h *Hosted) SignIn(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, name, password string) (oauth.SignedIn, *oauth.Error) {
	passwords := h.Ways.passwords(purpose{authorization: a})
	if passwords == nil {
		return oauth.SignedIn{}, &oauth.Error{Kind: oauth.UnauthorizedClient, Description: "This call is not available for the project: nobody signs in with a password."}
	}
	b, there, err := h.browser(r)
	if err != nil {
		return oauth.SignedIn{}, failure(err)
	}
	if !there {
		b = newBrowser()
	}
	user, b, refusal := h.verify(r, b, passwords, a.Client, name, password)
	if refusal != nil {
		return oauth.SignedIn{}, refusal
	}
	in, err := h.begin(w, r, session.SignIn{User: user}, b, a.Client)
	if err != nil {
		return oauth.SignedIn{}, failure(err)
	}
	return in, nil
}

// failure is our own.
func failure(err error) *oauth.Error {
	e := &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: err}
	if errors.Is(err, storage.ErrUnavailable) {
		e.RetryAfter = time.Second
	}
	return e
}

// spelling is what a browser remembers of a name that it signed in with, as it was
// typed: others that are counted with it may be those of other accounts.
func spelling(account, name string) string {
	return deriveSubject("spelling", account+"\x00"+strings.TrimSpace(name))
}

// verify checks the password within the limits of attempts, and returns the
// browser as it is after that. The client, which may be nil, is for the audit log.
func (h *Hosted) verify(r *http.Request, b browser, passwords Passwords, client *oauth.Client, name, password string) (session.User, browser, *oauth.Error) {
	account := passwords.Account(name)
	typed := spelling(account, name)
	who := attempt{account: account, address: string(h.From(r))}
	if b.knows(account) || b.knows(typed) {
		who.browser = b.ID
	}
	limited := func(wait time.Duration) *oauth.Error {
		h.Server.Audit.Record(oauth.Event{What: oauth.SignInLimited, Client: client, From: h.From(r), User: session.User{Name: plain(printable(name))}})
		return &oauth.Error{Kind: oauth.TooManyAttempts, Description: "Too many attempts.", RetryAfter: wait}
	}
	done, wait := h.Limits.begin(h.Attempts, h.Now(), who)
	if done == nil {
		return session.User{}, b, limited(wait)
	}
	type outcome struct {
		subject string
		failed  bool
	}
	var about []outcome // of the accounts that it turned out to be about
	u, err := passwords.Check(r.Context(), Credentials{
		Name: name, Password: password, From: h.From(r), Known: who.browser != "",
		Whose: func(subject string) { about = append(about, outcome{subject, true}) },
	})
	if err == nil && u.Subject != account {
		about = append(about, outcome{u.Subject, false})
	}
	for _, o := range about {
		late := attempt{account: o.subject}
		if b.knows(o.subject) {
			late.browser = b.ID
		}
		wait = max(wait, h.Limits.late(h.Attempts, h.Now(), late, o.failed))
	}
	done(h.Now(), errors.Is(err, ErrWrong) || wait > 0) // the same for a right password, which else could be told by it
	if wait > 0 {
		return session.User{}, b, limited(wait)
	}
	if err != nil {
		return session.User{}, b, h.unverified(r, client, name, err)
	}
	if u.Subject != account {
		b = b.remember(typed)
	}
	return u, b, nil
}

// unverified is what it means that a password was not found right.
func (h *Hosted) unverified(r *http.Request, client *oauth.Client, name string, err error) *oauth.Error {
	down := (*DownError)(nil)
	switch {
	case errors.As(err, &down): // though another way may have said that it is wrong
		h.warn(h.unchecked.Of(down.Way), r, "a password could not be checked", zap.Error(err))
		h.Server.Audit.Record(oauth.Event{
			What: oauth.SignInFailed, Client: client, From: h.From(r), User: session.User{Name: plain(printable(name))}, Why: down.Error(),
		})
		return &oauth.Error{
			Kind: oauth.ProviderFailed, Description: "The password could not be checked.", RetryAfter: down.RetryAfter, Cause: err,
		}
	case errors.Is(err, ErrBusy): // as above
		h.Server.Audit.Record(oauth.Event{
			What: oauth.SignInLimited, Client: client, From: h.From(r), User: session.User{Name: plain(printable(name))},
			Why: "too many sign-ins at once",
		})
		return &oauth.Error{Kind: oauth.Internal, Description: "Too many sign-ins at once.", RetryAfter: 5 * time.Second, Cause: err}
	case errors.Is(err, ErrWrong):
		h.Server.Audit.Record(oauth.Event{What: oauth.SignInFailed, Client: client, From: h.From(r), User: session.User{Name: plain(printable(name))}})
		return &oauth.Error{Kind: oauth.WrongPassword, Description: "Wrong username or password."}
	}
	return &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: err}
}

// errNoLonger says that a user was disabled, or got another password, while they
// signed in.
var errNoLonger = errors.New("the user may no longer sign in")

// begin begins a session with a new token in place of the one that the browser
// had.
func (h *Hosted) begin(w http.ResponseWriter, r *http.Request, in session.SignIn, b browser, client *oauth.Client) (oauth.SignedIn, error) {
	u := in.User
	in.Agent, in.From = r.UserAgent(), string(h.From(r))
	if err := h.setBrowser(r.Context(), w, b.remember(u.Subject)); err != nil {
		return oauth.SignedIn{}, err
	}
	before, _ := h.Session.Value(r)
	token, sess, err := h.Server.BeginSession(r.Context(), in, before)
	if err != nil {
		return oauth.SignedIn{}, err
	}
	if _, may := h.Ways.Current(u); !may {
		// Whoever ended what the user has open has not seen this one.
		return oauth.SignedIn{}, errors.Join(errNoLonger, h.Server.Sessions.End(r.Context(), sess.Key()))
	}
	h.Session.Set(w, token.Encode(), h.Lifetime)
	h.Server.Audit.Record(oauth.Event{What: oauth.SignedInEvent, User: u, Client: client, Session: sess, From: h.From(r)})
	return oauth.SignedIn{Session: sess, User: u}, nil
}
