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

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// providerFlow is a transaction at a provider. It is sealed in the state, and so
// comes back with the answer.
type providerFlow struct {
	transaction
	Method    string `json:"w"`
	Nonce     string `json:"n"`
	Verifier  string `json:"v"`
	AuthAfter int64  `json:"a,omitempty"` // Unix milliseconds; 0: whenever

	// Asked is set if the user pressed the button on a page in this browser.
	Asked bool `json:"u,omitempty"`
}

const (
	providerFlowLabel = "sign-in at a provider"

	// maxState bounds a state, in bytes: many servers accept no address over 8 KiB,
	// and the provider adds a code.
	maxState = 6 << 10
)

// providerRequest returns the request for the method, without the fields that only
// Start needs.
func (h *Hosted) providerRequest(o providerFlow) signin.ProviderRequest {
	d := signin.ProviderRequest{RedirectURI: h.Server.Issuer + CallbackPrefix + o.Method, Nonce: o.Nonce, Verifier: o.Verifier}
	if o.AuthAfter != 0 {
		d.AuthAfter = time.UnixMilli(o.AuthAfter)
	}
	return d
}

// method finds the method with an ID, if it is allowed for p. Otherwise it answers
// the request itself.
func (h *Hosted) method(w http.ResponseWriter, r *http.Request, id string, p signInContext) (signin.ProviderMethod, bool) {
	method := h.Methods.Provider(id, p.allowed())
	if method == nil {
		h.startAgain(w, r, http.StatusNotFound, p, false, page.FaultSignInMethodRefused, page.Text{})
		return nil, false
	}
	return method, true
}

// startAtProvider begins a sign-in at a provider, in the context of the sign-in
// page's transaction.
func (h *Hosted) startAtProvider(w http.ResponseWriter, r *http.Request, id string) {
	t, b, p, ok := h.openTransaction(w, r, r.URL.Query().Get("t"), signInContext{})
	if !ok {
		return
	}
	method, ok := h.method(w, r, id, p)
	if !ok {
		return
	}
	if t.expired(h.Now()) {
		h.startAgain(w, r, http.StatusBadRequest, p, t.Another, page.FaultPageExpired, page.ReasonNotSignedIn)
		return
	}
	// The transaction may belong to another browser. It only has the context, and
	// shows whether this browser was asked. The state for the provider is bound to
	// this browser.
	h.sendToProvider(w, r, b, method, p, t.Another, t.Browser == b.ID)
}

// sendToProvider sends the browser to a provider.
func (h *Hosted) sendToProvider(w http.ResponseWriter, r *http.Request, b knownDevice, method signin.ProviderMethod, p signInContext, another, asked bool) {
	to, err := h.start(r.Context(), b, method, p, another, asked)
	if errors.Is(err, errStateTooLong) {
		name, _ := method.Label()
		h.message(w, r, http.StatusRequestURITooLong, p, page.Message{
			Fault: page.FaultRequestTooLong(name), Link: &page.Link{Label: page.LinkSignInPage, URL: p.address(true)},
		})
		return
	}
	if err != nil {
		h.providerFailed(w, r, method, p, err)
		return
	}
	httpapi.Redirect(w, http.StatusSeeOther, to)
}

var errStateTooLong = errors.New("what a sign-in is for is too long to take along to a provider")

// start returns the address at the provider to which the browser is sent to sign in.
func (h *Hosted) start(ctx context.Context, b knownDevice, method signin.ProviderMethod, p signInContext, another, asked bool) (string, error) {
	o := providerFlow{
		transaction: h.newTransaction(b, p, another), Method: method.ID(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(),
		Asked: asked,
	}
	hint := ""
	if a := p.authorization; a != nil {
		hint = username.Printable(a.LoginHint)
	}
	if after := p.authAfter(); !after.IsZero() {
		o.AuthAfter = after.UnixMilli()
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

// methodRefused answers that an account is not allowed, with a link to the provider
// for another one.
func (h *Hosted) methodRefused(w http.ResponseWriter, r *http.Request, b knownDevice, method signin.ProviderMethod, p signInContext, user session.User) {
	name, _ := method.Label()
	h.otherAccount(w, r, http.StatusForbidden, b, method, p, page.Message{
		Code: "010-026", Fault: page.FaultAccountNotAccepted(p.app()), Reason: page.ReasonAccountAtProvider(name, accountName(user)),
		Link: &page.Link{Label: page.LinkAnotherAccount},
	})
}

// anotherUser answers that the browser has a session of another user. It ends only if
// its owner wants that.
func (h *Hosted) anotherUser(w http.ResponseWriter, r *http.Request, b knownDevice, method signin.ProviderMethod, p signInContext, here, there session.User) {
	name, _ := method.Label()
	stay := p
	stay.query = httpapi.WithoutParams(p.query, switchParam)
	h.otherAccount(w, r, http.StatusConflict, b, method, p, page.Message{
		Code: "010-015", Fault: page.FaultAnotherAccount(accountName(here), name, accountName(there)),
		Link:  &page.Link{Label: page.LinkSwitch(name)},
		Other: &page.Link{Label: page.LinkStay(accountName(here)), URL: stay.address(false)},
	})
}

// otherAccount shows a message with a link to the provider for another account.
func (h *Hosted) otherAccount(w http.ResponseWriter, r *http.Request, status int, b knownDevice, method signin.ProviderMethod, p signInContext, m page.Message) {
	sealed, err := seal(r.Context(), h.Keys, transactionLabel, h.newTransaction(b, p, true))
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	m.Link.URL = startURL(method, sealed)
	h.message(w, r, status, p, m)
}

// accountName returns the name by which a user knows their account.
func accountName(u session.User) string { return cmp.Or(u.Email, u.Name) }

// startURL returns the address at which a sign-in by a method starts.
func startURL(method signin.Method, transaction string) string {
	return StartPrefix + method.ID() + "?t=" + url.QueryEscape(transaction)
}

// providerFailed answers why a sign-in at a provider was not finished, and what to do.
func (h *Hosted) providerFailed(w http.ResponseWriter, r *http.Request, method signin.ProviderMethod, p signInContext, err error) {
	name, _ := method.Label()
	m := page.Message{Code: "010-015", Link: &page.Link{Label: page.LinkTryAgain, URL: p.address(false)}}
	status, what := http.StatusBadGateway, oauth.SignInFailed
	down, refused := (*signin.DownError)(nil), (*signin.RefusedError)(nil)
	switch {
	case errors.Is(err, signin.ErrBusy):
		status, what, m.RetryAfter = http.StatusServiceUnavailable, oauth.SignInLimited, 5*time.Second
		m.Code = "004-001"
		m.Fault, m.Reason = page.FaultBusy, page.ReasonProviderNotFinished(name)
	case errors.Is(err, signin.ErrCancelled):
		status = http.StatusForbidden
		m.Fault = page.FaultSignInCancelled(name)
	case errors.Is(err, methods.ErrDisabled):
		status = http.StatusForbidden
		m.Code = "002-040"
		m.Fault = page.FaultAccountDisabled(name)
	case errors.Is(err, signin.ErrNotReauthenticated):
		status = http.StatusForbidden
		m.Fault = page.FaultSignInAgain(name)
	case errors.Is(err, signin.ErrAnswer):
		m.Fault, m.Reason, m.Next = page.FaultSignInNotFinished, page.ReasonProviderAnswer(name), page.NextTryAgainOrTell
	case errors.As(err, &refused):
		m.Fault, m.Reference = page.FaultProviderRefused(name), refused.Code
	case errors.As(err, &down):
		status, m.RetryAfter = http.StatusServiceUnavailable, down.RetryAfter
		m.Fault = page.FaultProviderDown(name)
	default:
		h.failedFor(w, r, p, fmt.Errorf("signing in by %s: %w", method.ID(), err))
		return
	}
	// Log lines that every client can cause do not displace those about answers of
	// the provider.
	lines := &h.notFinished
	if errors.Is(err, signin.ErrAnswer) || refused != nil && refused.ByBrowser {
		lines = &h.notBelieved
	}
	h.warnOf(lines, method.ID(), err, r, "a sign-in at a provider was not finished", zap.String("signin", method.ID()))
	h.Server.Audit.Record(oauth.Event{What: what, Client: p.client(), From: h.From(r), Why: method.ID(), Said: err.Error()})
	if status == http.StatusServiceUnavailable {
		m.Retry, m.Link = &page.Retry{URL: m.Link.URL}, nil
	}
	h.message(w, r, status, p, m)
}

// Provider reports whether a sign-in for a request may use the method with an ID, and
// whether that method has a provider.
func (h *Hosted) Provider(a *oauth.Authorization, id string) bool {
	return h.Methods.Provider(id, a.Methods) != nil
}

// StartAtProvider returns the address at the provider to which the browser is sent to
// sign in, for a request of the Login API with the query rawQuery. It may set the
// browser's cookie, to which the answer of the provider is bound.
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
