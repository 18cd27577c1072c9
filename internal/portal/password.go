package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// SignIn signs a user in with a name and a password, for an API that gets them as
// data. Limits, hashing, waiting and both cookies are those of the hosted page. The
// caller must check the origin of the request.
func (h *Hosted) SignIn(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, name, password string) (oauth.SignedIn, *oauth.Error) {
	passwords := h.Methods.PasswordMethods(a.Methods)
	if passwords == nil {
		return oauth.SignedIn{}, &oauth.Error{Kind: oauth.UnauthorizedClient, Description: "This call is not available for the project: nobody signs in with a password."}
	}
	b, there, err := h.deviceOf(r)
	if err != nil {
		return oauth.SignedIn{}, failure(err)
	}
	if !there {
		b = newDevice()
	}
	user, b, refusal := h.verify(r, b, passwords, a.Client, name, password)
	if refusal != nil {
		return oauth.SignedIn{}, refusal
	}
	in, pending, err := h.finishSignIn(w, r, FirstFactor{User: user, Authorization: a, device: b, context: signInContext{authorization: a}})
	switch {
	case err != nil:
		return oauth.SignedIn{}, failure(err)
	case pending != nil:
		return oauth.SignedIn{}, pending.Error
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

// errAttemptsUsedUp means that an account has no attempts left, although the typed
// name has. The answer is that of a wrong password, so that it does not reveal whose
// name that is.
var errAttemptsUsedUp = fmt.Errorf("other names of this account have used up its attempts: %w", signin.ErrWrong)

// verify checks the password within the limits of attempts, and returns the
// browser as it is after that. The client, which may be nil, is for the audit log.
func (h *Hosted) verify(r *http.Request, b knownDevice, passwords *methods.PasswordChain, client *oauth.Client, name, password string) (session.User, knownDevice, *oauth.Error) {
	who, exists := h.attempt(r, b, passwords, name)
	event := oauth.Event{Client: client, From: h.From(r), User: session.User{Name: username.Logged(name, exists)}}
	waiting, cancel := context.WithTimeoutCause(r.Context(), limits.LongestWait, signin.ErrBusy)
	defer cancel()
	leave, err := h.turns.Enter(waiting, who)
	if err != nil {
		return session.User{}, b, h.passwordRefused(r, event, err)
	}
	defer leave()
	done, wait := limits.Begin(h.Limits, h.Attempts, h.Now(), who)
	if done == nil {
		event.What = oauth.SignInLimited
		h.Server.Audit.Record(event)
		return session.User{}, b, &oauth.Error{Kind: oauth.TooManyAttempts, Description: "Too many attempts.", RetryAfter: wait}
	}
	var about []session.User // whose account it turned out to be
	until, _ := waiting.Deadline()
	u, err := passwords.Check(r.Context(), signin.Credentials{
		Name: name, Password: password, From: string(h.From(r)), Known: who.Known(), WaitUntil: until,
		Whose: func(u session.User) { about = append(about, u) },
	})
	beyond := err == nil && h.countLate(b, who, u, false)
	for _, other := range about {
		beyond = h.countLate(b, who, other, true) || beyond
		event.User.Name = username.Logged(name, true)
	}
	if beyond {
		err = errors.Join(err, errAttemptsUsedUp)
	}
	done(h.Now(), errors.Is(err, signin.ErrWrong))
	if err != nil {
		return session.User{}, b, h.passwordRefused(r, event, err)
	}
	if refusal := h.admit(r, u, client); refusal != nil {
		return session.User{}, b, refusal
	}
	if refusal := h.Server.CountSignIn(u, client, h.From(r)); refusal != nil {
		return session.User{}, b, refusal
	}
	return u, h.remember(b, passwords, name, u), nil
}

// attempt returns who tries to sign in, and whether the account is known to exist.
func (h *Hosted) attempt(r *http.Request, b knownDevice, passwords *methods.PasswordChain, name string) (who limits.Attempt, exists bool) {
	who = limits.Attempt{Names: passwords.Spellings(name), Address: string(h.From(r))}
	as := knownBy(who.Names, name)
	u, method := passwords.Find(name)
	if method != nil {
		as = limits.KnownAs(u)
	}
	if b.knows(as, h.Now()) {
		who.Browser, who.Account = b.ID, as
	}
	return who, method != nil || who.Known()
}

// countLate counts an attempt for the account that it belongs to, which is known only
// now. It reports whether the account had no attempt left.
func (h *Hosted) countLate(b knownDevice, who limits.Attempt, u session.User, failed bool) bool {
	as, browser := limits.KnownAs(u), ""
	if as == who.Account {
		return false // it was counted when it began
	}
	if b.knows(as, h.Now()) {
		browser = b.ID
	}
	return limits.Late(h.Limits, h.Attempts, h.Now(), u, browser, failed) > 0
}

// remember is the browser once a password was right in it.
func (h *Hosted) remember(b knownDevice, passwords *methods.PasswordChain, name string, u session.User) knownDevice {
	lifetime := browserLifetime
	if u.Mark == "" {
		lifetime = unmarkedLifetime
	}
	if _, method := passwords.Find(name); method == nil {
		b = b.remember(knownBy(passwords.Spellings(name), name), h.Now().Add(unmarkedLifetime))
	}
	return b.remember(limits.KnownAs(u), h.Now().Add(lifetime))
}

// passwordRefused returns the refusal of a password that was not accepted. The event has
// the user, the application and the address.
func (h *Hosted) passwordRefused(r *http.Request, event oauth.Event, err error) *oauth.Error {
	down := (*signin.DownError)(nil)
	switch {
	case errors.As(err, &down): // though another method may have said that it is wrong
		h.warnOf(&h.unchecked, down.Method, down, r, "a password could not be checked")
		event.What, event.Said = oauth.SignInFailed, down.Error()
		h.Server.Audit.Record(event)
		return &oauth.Error{
			Kind: oauth.ProviderFailed, Description: "The password could not be checked.", RetryAfter: down.RetryAfter, Cause: err,
		}
	case errors.Is(err, signin.ErrBusy): // as above
		event.What, event.Why = oauth.SignInLimited, "too many sign-ins at once"
		h.Server.Audit.Record(event)
		return &oauth.Error{Kind: oauth.Internal, Description: "Too many sign-ins at once.", RetryAfter: 5 * time.Second, Cause: err}
	case errors.Is(err, signin.ErrWrong):
		event.What = oauth.SignInFailed
		if errors.Is(err, errAttemptsUsedUp) {
			event.What, event.Why = oauth.SignInLimited, errAttemptsUsedUp.Error()
		}
		h.Server.Audit.Record(event)
		return &oauth.Error{Kind: oauth.WrongPassword, Description: "Wrong username or password."}
	}
	return &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: err}
}
