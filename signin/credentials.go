package signin

import (
	"errors"
	"net/http"
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
	user, refusal := h.verify(r, b, passwords, a.Client, name, password)
	if refusal != nil {
		return oauth.SignedIn{}, refusal
	}
	in, err := h.begin(w, r, session.SignIn{User: user}, b.remember(passwords.Account(name)), a.Client)
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

// verify checks the password within the limits of attempts. The client, which
// may be nil, is for the audit log.
func (h *Hosted) verify(r *http.Request, b browser, passwords Passwords, client *oauth.Client, name, password string) (session.User, *oauth.Error) {
	account := passwords.Account(name)
	who := attempt{account: account, address: string(h.From(r))}
	if b.knows(account) {
		who.browser = b.ID
	}
	done, wait := h.Attempts.begin(h.Now(), h.Limits, who)
	if done == nil {
		h.Server.Audit.Record(oauth.Event{What: oauth.SignInLimited, Client: client, From: h.From(r), User: session.User{Name: printable(name)}})
		return session.User{}, &oauth.Error{Kind: oauth.TooManyAttempts, Description: "Too many attempts.", RetryAfter: wait}
	}
	u, err := passwords.Check(r.Context(), Credentials{Name: name, Password: password, From: h.From(r), Known: who.browser != ""})
	wrong := errors.Is(err, ErrWrong)
	done(h.Now(), wrong)
	down := (*DownError)(nil)
	switch {
	case errors.As(err, &down): // though another way may have said that it is wrong
		h.Log.Warn("a password could not be checked", zap.Error(err))
		h.Server.Audit.Record(oauth.Event{
			What: oauth.SignInFailed, Client: client, From: h.From(r), User: session.User{Name: printable(name)}, Why: down.Error(),
		})
		return session.User{}, &oauth.Error{
			Kind: oauth.ProviderFailed, Description: "The password could not be checked.", RetryAfter: down.RetryAfter, Cause: err,
		}
	case wrong:
		h.Server.Audit.Record(oauth.Event{What: oauth.SignInFailed, Client: client, From: h.From(r), User: session.User{Name: printable(name)}})
		return session.User{}, &oauth.Error{Kind: oauth.WrongPassword, Description: "Wrong username or password."}
	case errors.Is(err, ErrBusy):
		h.Server.Audit.Record(oauth.Event{
			What: oauth.SignInLimited, Client: client, From: h.From(r), User: session.User{Name: printable(name)},
			Why: "too many sign-ins at once",
		})
		return session.User{}, &oauth.Error{Kind: oauth.Internal, Description: "Too many sign-ins at once.", RetryAfter: 5 * time.Second, Cause: err}
	case err != nil:
		return session.User{}, &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: err}
	}
	return u, nil
}

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
	h.Session.Set(w, token.Encode(), h.Lifetime)
	h.Server.Audit.Record(oauth.Event{What: oauth.SignedInEvent, User: u, Client: client, Session: sess, From: h.From(r)})
	return oauth.SignedIn{Session: sess, User: u}, nil
}
