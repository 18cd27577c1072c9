package portal

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// providerFlow is a transaction at a provider. It travels sealed as the state, and
// so comes back with the answer.
type providerFlow struct {
	transaction
	Method    string `json:"w"`
	Nonce     string `json:"n"`
	Verifier  string `json:"v"`
	AuthAfter int64  `json:"a,omitempty"` // Unix milliseconds; 0: whenever

	// Asked says that a page of this browser's own had the button.
	Asked bool `json:"u,omitempty"`
}

const (
	providerFlowLabel = "sign-in at a provider"

	// maxState bounds a state, in bytes: many servers take no address beyond 8
	// KiB, and the provider adds a code to it.
	maxState = 6 << 10
)

// providerRequest is what the method gets, without what only Start needs.
func (h *Hosted) providerRequest(o providerFlow) signin.ProviderRequest {
	d := signin.ProviderRequest{RedirectURI: h.Server.Issuer + CallbackPrefix + o.Method, Nonce: o.Nonce, Verifier: o.Verifier}
	if o.AuthAfter != 0 {
		d.AuthAfter = time.UnixMilli(o.AuthAfter)
	}
	return d
}

// method finds the method with an ID that is allowed for p. It answers by itself if
// there is none.
func (h *Hosted) method(w http.ResponseWriter, id string, p signInContext) (signin.ProviderMethod, bool) {
	method := h.Methods.Provider(id, p.allowed())
	if method == nil {
		h.startAgain(w, http.StatusNotFound, p, false, "You cannot sign in this way", "There is no such sign-in method, or it is not for this application.")
		return nil, false
	}
	return method, true
}

// startAtProvider begins a sign-in at a provider, for what the transaction of a sign-in
// page was for.
func (h *Hosted) startAtProvider(w http.ResponseWriter, r *http.Request, id string) {
	t, b, p, ok := h.begun(w, r, r.URL.Query().Get("t"), signInContext{})
	if !ok {
		return
	}
	method, ok := h.method(w, id, p)
	if !ok {
		return
	}
	if t.expired(h.Now()) {
		h.startAgain(w, http.StatusBadRequest, p, t.Another, "This page was open for too long", "Signing in was not begun.")
		return
	}
	// Whose transaction it is does not matter, since it says what for, and whether
	// this browser was asked; what the provider gets is bound to this browser.
	h.sendToProvider(w, r, b, method, p, t.Another, t.Browser == b.ID)
}

// sendToProvider sends the browser to a provider.
func (h *Hosted) sendToProvider(w http.ResponseWriter, r *http.Request, b knownDevice, method signin.ProviderMethod, p signInContext, another, asked bool) {
	to, err := h.start(r.Context(), b, method, p, another, asked)
	if errors.Is(err, errStateTooLong) {
		name, _ := method.Label()
		h.message(w, http.StatusRequestURITooLong, p, page.Message{
			Title: "The application asked for too much at once",
			Text:  "What it asked for is too long to take along to " + name + ".",
			Next:  "Sign in another way if there is one. If it happens again, tell the people who make the application.",
			Link:  &page.Link{Text: "Back to the sign-in page", URL: p.address(true)},
		})
		return
	}
	if err != nil {
		h.wrong(w, r, method, p, err)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

var errStateTooLong = errors.New("what a sign-in is for is too long to take along to a provider")

// start returns where at a provider a browser goes to sign in.
func (h *Hosted) start(ctx context.Context, b knownDevice, method signin.ProviderMethod, p signInContext, another, asked bool) (string, error) {
	o := providerFlow{
		transaction: h.newTransaction(b, p, another), Method: method.ID(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(),
		Asked: asked,
	}
	hint := ""
	if a := p.authorization; a != nil {
		hint = username.Printable(a.LoginHint)
		if !a.AuthAfter.IsZero() {
			o.AuthAfter = a.AuthAfter.UnixMilli()
		}
	}
	state, err := seal(ctx, h.Keys, providerFlowLabel, o)
	if err != nil {
		return "", err
	}
	if len(state) > maxState {
		return "", errStateTooLong
	}
	d := h.providerRequest(o)
	d.State, d.LoginHint, d.SelectAccount = state, hint, another
	return method.Start(ctx, d)
}

// methodRefused says that an account will not do, and leads to the provider for another.
func (h *Hosted) methodRefused(w http.ResponseWriter, r *http.Request, b knownDevice, method signin.ProviderMethod, p signInContext, user session.User) {
	name, _ := method.Label()
	h.otherAccount(w, r, http.StatusForbidden, b, method, p, page.Message{
		Code:  "010-026",
		Title: "This account cannot be used here",
		Text:  "At " + name + " you are signed in as " + calledBy(user) + ", which is no account for " + p.app() + ".",
		Next:  "You have not been signed in here. Use another account, or ask the people who gave you the application.",
		Link:  &page.Link{Text: "Use another account"},
	})
}

// anotherUser says that the browser has a session of another user, which ends
// only if its owner wants it to.
func (h *Hosted) anotherUser(w http.ResponseWriter, r *http.Request, b knownDevice, method signin.ProviderMethod, p signInContext, here, there session.User) {
	name, _ := method.Label()
	stay := p
	stay.query = without(p.query, switchParam)
	h.otherAccount(w, r, http.StatusConflict, b, method, p, page.Message{
		Code:  "010-015",
		Title: "You are signed in with another account",
		Text:  "Here you are signed in as " + calledBy(here) + ", and " + name + " says that you are " + calledBy(there) + ".",
		Next:  "Nothing has changed. Switch only if you wanted to sign in with " + name + ".",
		Link:  &page.Link{Text: "Switch to " + name},
		Other: &page.Link{Text: "Stay signed in as " + calledBy(here), URL: stay.address(false)},
	})
}

// otherAccount shows a message whose link leads to the provider for another
// account.
func (h *Hosted) otherAccount(w http.ResponseWriter, r *http.Request, status int, b knownDevice, method signin.ProviderMethod, p signInContext, m page.Message) {
	sealed, err := seal(r.Context(), h.Keys, transactionLabel, h.newTransaction(b, p, true))
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	m.Link.URL = startURL(method, sealed)
	h.message(w, status, p, m)
}

// calledBy is what a person calls their account by.
func calledBy(u session.User) string { return cmp.Or(u.Email, u.Name) }

// startURL is where a sign-in by a method starts.
func startURL(method signin.Method, transaction string) string {
	return StartPrefix + method.ID() + "?t=" + url.QueryEscape(transaction)
}

// wrong says why a sign-in at a provider was not finished, and what to do.
func (h *Hosted) wrong(w http.ResponseWriter, r *http.Request, method signin.ProviderMethod, p signInContext, err error) {
	name, _ := method.Label()
	m := page.Message{Code: "010-015", Link: &page.Link{Text: "Try again", URL: p.address(false)}}
	status, what := http.StatusBadGateway, oauth.SignInFailed
	down, refused := (*signin.DownError)(nil), (*signin.RefusedError)(nil)
	switch {
	case errors.Is(err, signin.ErrBusy):
		status, what, m.RetryAfter = http.StatusServiceUnavailable, oauth.SignInLimited, 5*time.Second
		m.Code = "004-001"
		m.Title = "Many people are signing in right now"
		m.Text = "Signing in with " + name + " was not finished."
	case errors.Is(err, signin.ErrCancelled):
		status = http.StatusForbidden
		m.Title = "You were not signed in"
		m.Text = "Signing in with " + name + " was cancelled."
		m.Next = "Try again, or go back to the application."
	case errors.Is(err, methods.ErrDisabled):
		status = http.StatusForbidden
		m.Code = "002-040"
		m.Title = "Your account here is disabled"
		m.Text = name + " knows you, but your account here may not sign in."
		m.Next = "If that is not right, tell the people who run this site."
	case errors.Is(err, signin.ErrNotReauthenticated):
		status = http.StatusForbidden
		m.Title = "You have to sign in anew"
		m.Text = "The application asks you to prove again who you are, and " + name + " did not ask you."
		m.Next = "Sign out there, then try again."
	case errors.Is(err, signin.ErrAnswer):
		m.Title = "Signing in was not finished"
		m.Text = "What " + name + " answered cannot be used."
		m.Next = "Try again. If it happens again, tell the people who run this site."
	case errors.As(err, &refused):
		m.Title = "Signing in with " + name + " does not work"
		m.Text = "It refuses requests of this site."
		m.Next = "Tell the people who run this site, and quote the line below."
		m.Reference = refused.Code
	case errors.As(err, &down):
		status, m.RetryAfter = http.StatusServiceUnavailable, down.RetryAfter
		m.Title = name + " does not answer"
		m.Text = "You cannot sign in with " + name + " right now."
	default:
		h.failedFor(w, r, p, fmt.Errorf("signing in by %s: %w", method.ID(), err))
		return
	}
	// What anybody can make up does not crowd out what the provider says itself.
	lines := &h.notFinished
	if errors.Is(err, signin.ErrAnswer) || refused != nil && refused.ByBrowser {
		lines = &h.notBelieved
	}
	h.warnOf(lines, method.ID(), err, r, "a sign-in at a provider was not finished", zap.String("signin", method.ID()))
	h.Server.Audit.Record(oauth.Event{What: what, Client: p.client(), From: h.From(r), Why: method.ID(), Said: err.Error()})
	if status == http.StatusServiceUnavailable {
		m.Retry, m.Link = &page.Retry{URL: m.Link.URL}, nil
	}
	h.message(w, status, p, m)
}

// Provider says whether a sign-in for a request may use the method with an ID,
// which leads to a provider elsewhere.
func (h *Hosted) Provider(a *oauth.Authorization, id string) bool {
	return h.Methods.Provider(id, a.Methods) != nil
}

// StartAtProvider returns where at a provider the browser goes to sign in for a request of
// the Login API, whose query is rawQuery. It may set the browser's cookie, which
// the answer of the provider is bound to.
func (h *Hosted) StartAtProvider(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, rawQuery, id string) (string, *oauth.Error) {
	p := signInContext{page: SignInPath, query: rawQuery, authorization: a}
	method := h.Methods.Provider(id, p.allowed())
	if method == nil {
		return "", &oauth.Error{Kind: oauth.UnknownProvider, Description: "Object not found: there is no such provider."}
	}
	b, there, err := h.deviceOf(r)
	if err == nil && !there {
		b = newDevice()
		err = h.setDevice(r.Context(), w, b)
	}
	if err != nil {
		return "", failure(err)
	}
	to, err := h.start(r.Context(), b, method, p, false, false)
	down := (*signin.DownError)(nil)
	switch {
	case err == nil:
		return to, nil
	case errors.Is(err, errStateTooLong):
		return "", &oauth.Error{Kind: oauth.InvalidRequest, Description: "The parameters are too long to take along to the provider."}
	case errors.As(err, &down):
		h.warnOf(&h.notBegun, id, err, r, "a sign-in at a provider was not begun", zap.String("signin", id))
		h.Server.Audit.Record(oauth.Event{What: oauth.SignInFailed, Client: a.Client, From: h.From(r), Why: id, Said: err.Error()})
		if errors.Is(err, signin.ErrMisconfigured) {
			return "", &oauth.Error{Kind: oauth.Misconfigured, Description: "Project misconfigured: the provider is another than its settings say.", Cause: err}
		}
		return "", &oauth.Error{Kind: oauth.ProviderFailed, Description: "The provider does not answer.", RetryAfter: down.RetryAfter, Cause: err}
	}
	return "", failure(err)
}
