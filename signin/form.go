package signin

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// maxForm bounds, in bytes, what the sign-in form may post: a transaction holds
// the query of an authorization request.
const maxForm = 256 << 10

// showSignIn is the sign-in page; for somebody who is signed in already, the
// way on; and where a provider is the only way, the way there.
func (h *Hosted) showSignIn(w http.ResponseWriter, r *http.Request) {
	p, refusal := h.contextOf(r.Context(), r.URL.Path, r.URL.RawQuery)
	if refusal != nil {
		h.refuse(w, r, refusal)
		return
	}
	in, signedIn, done := h.signedIn(w, r, p)
	if done {
		return
	}
	another := switching(r.URL.RawQuery)
	view := page.SignIn{}
	if signedIn {
		fit := p.authorization == nil || p.authorization.Accepts(in)
		if fit && !another {
			h.already(w, r, in, p)
			return
		}
		view.SwitchFrom = person(in.User)
		if !fit {
			view.Other = !p.authorization.Expects(in.User)
			view.MethodRefused = !view.Other && !p.authorization.AcceptsUser(in.User)
			view.Again = !view.Other && !view.MethodRefused
			if view.Again && h.Methods.acceptsPassword(in.User.Signin, p) {
				view.Username = printable(in.User.Name)
			}
			another = another || !view.Again
		}
	}
	// With a session there is always a page, so that nothing goes in circles.
	if methods := h.Methods.providerMethods(p); !signedIn && !another && len(methods) == 1 && h.Methods.passwordMethods(p) == nil {
		if b, ok := h.thisBrowser(w, r, p); ok {
			h.sendToProvider(w, r, b, methods[0], p, false, false)
		}
		return
	}
	if p.authorization != nil {
		view.Username = cmp.Or(printable(p.authorization.LoginHint), view.Username)
	}
	h.ask(w, r, http.StatusOK, p, another, view)
}

// already shows who is signed in, with the way on and a way to switch.
func (h *Hosted) already(w http.ResponseWriter, r *http.Request, in oauth.SignedIn, p signInContext) {
	v := page.Account{
		Person:      *person(in.User),
		App:         p.app(),
		SwitchURL:   p.address(true),
		SessionsURL: SessionsPath,
		SignOut:     page.Form{Action: SignOutPath},
		WidgetOnly:  p.widgetOnly(),
		Opener:      p.opener(),
	}
	if p.request != nil || p.returnTo != "" {
		v.ContinueURL = h.continueURL(p)
	}
	h.Pages.Account(w, r, v)
}

func person(u session.User) *page.Person { return &page.Person{Name: u.Name, Email: u.Email} }

// thisBrowser is the browser that the cookie names, or a new one. It answers by
// itself where it cannot tell.
func (h *Hosted) thisBrowser(w http.ResponseWriter, r *http.Request, p signInContext) (knownDevice, bool) {
	b, ok, err := h.deviceOf(r)
	if err == nil && !ok {
		b = newDevice()
		err = h.setDevice(r.Context(), w, b)
	}
	if err != nil {
		h.failedFor(w, r, p, err)
		return knownDevice{}, false
	}
	return b, true
}

// ask writes the sign-in page with a new transaction, and the ways that count.
func (h *Hosted) ask(w http.ResponseWriter, r *http.Request, status int, p signInContext, another bool, v page.SignIn) {
	b, ok := h.thisBrowser(w, r, p)
	if !ok {
		return
	}
	sealed, err := seal(r.Context(), h.Keys, transactionLabel, h.newTransaction(b, p, another))
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	v.App = p.app()
	if h.Methods.passwordMethods(p) != nil {
		v.Form = page.Form{Action: p.address(false), Transaction: sealed}
	}
	for _, method := range h.Methods.providerMethods(p) {
		name, icon := method.Label()
		v.Providers = append(v.Providers, page.Provider{Name: name, Icon: icon, URL: startURL(method, sealed)})
	}
	if v.Form.Action == "" && v.Providers == nil {
		h.noMethod(w, r, p)
		return
	}
	if a := p.authorization; a != nil {
		v.Scopes = scopesOf(a.Client, a.Scopes)
		v.WidgetOnly = p.widgetOnly()
		v.Opener = p.opener()
		v.DisableSocials = a.Presentation.DisableSocials
	}
	h.Pages.SignIn(w, r, status, v)
}

// noMethod says that nobody can sign in for this.
func (h *Hosted) noMethod(w http.ResponseWriter, r *http.Request, p signInContext) {
	m := page.Message{
		Code: "003-022", Fault: page.FaultNoSignInMethod,
	}
	if p.authorization == nil {
		m.Fault = page.FaultStartAtApplication
	}
	h.message(w, r, http.StatusForbidden, p, m)
}

// signIn takes the form: name, password and transaction.
func (h *Hosted) signIn(w http.ResponseWriter, r *http.Request) {
	if !h.readForm(w, r) {
		return
	}
	t, b, p, ok := h.begun(w, r, r.PostForm.Get("transaction"), signInContext{page: r.URL.Path, query: r.URL.RawQuery})
	if !ok {
		return
	}
	passwords := h.Methods.passwordMethods(p)
	if passwords == nil {
		h.startAgain(w, r, http.StatusBadRequest, p, false, page.FaultSignInMethodRefused, page.Text{})
		return
	}
	name, password := r.PostForm.Get("username"), r.PostForm.Get("password")
	again := page.SignIn{Username: printable(name)}
	in, signedIn, done := h.signedIn(w, r, p)
	if done {
		return
	}
	if signedIn {
		again.SwitchFrom = person(in.User)
	}
	if t.expired(h.Now()) {
		again.Problem = &page.Problem{Code: "0", Fault: page.FaultPageExpired, Next: page.NextPasswordAgain}
		h.ask(w, r, http.StatusBadRequest, p, t.Another, again)
		return
	}
	if t.Browser != b.ID && r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		// Tabs that were opened at once, before the browser had its cookie, each
		// got one, and only the last stayed. What the binding keeps out is a
		// form that another site filled in with its own transaction and
		// password; a browser that says the form is of this origin rules that
		// out as well. For others a transaction of their own begins.
		again.Problem = &page.Problem{Code: "0", Fault: page.FaultCookiesChanged, Next: page.NextPasswordAgain}
		h.ask(w, r, http.StatusBadRequest, p, t.Another, again)
		return
	}
	user, b, refusal := h.verify(r, b, passwords, p.client(), name, password)
	if refusal != nil {
		if errors.Is(refusal, ErrBusy) {
			again.RetryAfter = refusal.RetryAfter
			again.Problem = &page.Problem{Code: "004-001", Fault: page.FaultBusy, Next: page.NextPasswordNotChecked}
			h.ask(w, r, http.StatusServiceUnavailable, p, t.Another, again)
			return
		}
		if refusal.Kind == oauth.Internal {
			h.failedFor(w, r, p, refusal)
			return
		}
		status := http.StatusUnauthorized
		again.Problem = &page.Problem{Code: "003-001", Fault: page.FaultWrongPassword}
		switch refusal.Kind {
		case oauth.TooManyAttempts:
			status = http.StatusTooManyRequests
			again.RetryAfter = refusal.RetryAfter
			again.Problem = &page.Problem{Code: "002-057", Fault: page.FaultTooManyAttempts}
		case oauth.ProviderFailed:
			status = http.StatusServiceUnavailable
			again.RetryAfter = refusal.RetryAfter
			again.Problem = &page.Problem{Code: "010-015", Fault: page.FaultPasswordUnchecked}
			if errors.Is(refusal, ErrWrong) { // so it does count
				again.Problem.Fault = page.FaultPasswordCheckFailed
			}
		case oauth.Denied:
			status = http.StatusForbidden
			again.Problem = &page.Problem{Code: "010-026", Fault: page.FaultAccountIDRefused}
		default:
		}
		h.ask(w, r, status, p, t.Another, again)
		return
	}
	if p.authorization != nil && !p.authorization.AcceptsUser(user) {
		h.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, User: user, Client: p.client(), From: h.From(r), Why: "the account does not count for this request"})
		again.Problem = &page.Problem{Code: "010-026", Fault: page.FaultAccountNotAccepted(p.app())}
		h.ask(w, r, http.StatusForbidden, p, t.Another, again)
		return
	}
	first, err := h.once(r.Context(), t)
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	if !first {
		again.Problem = &page.Problem{Code: "0", Fault: page.FaultFormResent, Next: page.NextPasswordAgain}
		h.ask(w, r, http.StatusConflict, p, t.Another, again)
		return
	}
	if _, err := h.begin(w, r, session.SignIn{User: user}, b, p.client()); err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	h.redirectBack(w, r, p)
}

// redirectBack leads on with what somebody has signed in for.
func (h *Hosted) redirectBack(w http.ResponseWriter, r *http.Request, p signInContext) {
	h.Pages.Continue(w, r, page.Continue{
		Title: page.DoneSignedIn, App: p.app(), URL: h.continueURL(p), WidgetOnly: p.widgetOnly(),
		Opens: p.authorization != nil && !p.authorization.Presentation.Popup && p.authorization.CustomScheme(),
	})
}

// begun opens the transaction of a sign-in page and finds what it is for. It
// answers by itself where that cannot be, and leads to again.
func (h *Hosted) begun(w http.ResponseWriter, r *http.Request, sealed string, again signInContext) (t transaction, b knownDevice, p signInContext, ok bool) {
	plain, err := h.Keys.Unseal(r.Context(), transactionLabel, sealed)
	if err == nil {
		err = json.Unmarshal(plain, &t)
	}
	if err != nil {
		if !errors.Is(err, keys.ErrSealed) {
			h.failed(w, r, err)
			return t, b, p, false
		}
		h.cannotOpen(r)
		h.startAgain(w, r, http.StatusBadRequest, again, false, page.FaultFormInvalid, page.Text{})
		return t, b, p, false
	}
	b, p, ok = h.bound(w, r, t)
	return t, b, p, ok
}

// bound finds this browser, and what a transaction is for. It answers by itself
// where that cannot be.
func (h *Hosted) bound(w http.ResponseWriter, r *http.Request, t transaction) (b knownDevice, p signInContext, ok bool) {
	// The configuration may have changed since the page was shown.
	p, refusal := h.contextOf(r.Context(), t.Page, string(t.Query))
	if refusal != nil {
		h.refuse(w, r, refusal)
		return b, p, false
	}
	b, there, err := h.deviceOf(r)
	if err != nil {
		h.failedFor(w, r, p, err)
		return b, p, false
	}
	if !there {
		h.message(w, r, http.StatusBadRequest, p, page.Message{
			Fault: page.FaultCookiesBlocked, Reason: page.ReasonCookies, Next: page.NextAllowCookies,
			Link: &page.Link{Label: page.LinkStartAgain, URL: p.address(false)},
		})
		return b, p, false
	}
	return b, p, true
}

// readForm reads the form of a page, and answers by itself where it cannot.
func (h *Hosted) readForm(w http.ResponseWriter, r *http.Request) bool {
	body, err := httpapi.Body(w, r, maxForm)
	if err == nil && httpapi.IsForm(r) {
		r.PostForm, err = httpapi.ParseQuery(string(body))
	}
	if err == nil {
		return true
	}
	switch status := httpapi.BodyStatus(err); status {
	case http.StatusRequestEntityTooLarge:
		h.startAgain(w, r, status, signInContext{}, false, page.FaultFormTooLarge, page.Text{})
	case http.StatusRequestTimeout:
		h.startAgain(w, r, status, signInContext{}, false, page.FaultFormTimeout, page.Text{})
	default:
		h.startAgain(w, r, status, signInContext{}, false, page.FaultFormDamaged, page.Text{})
	}
	return false
}

func (h *Hosted) startAgain(w http.ResponseWriter, r *http.Request, status int, p signInContext, another bool, fault page.Fault, reason page.Text) {
	h.message(w, r, status, p, page.Message{
		Fault: fault, Reason: reason, Next: page.NextStartAtSignIn,
		Link: &page.Link{Label: page.LinkStartAgain, URL: p.address(another)},
	})
}

// refuse shows a refusal of an authorization request to a person. What is wrong
// is the application's doing, so the page says whom to tell.
func (h *Hosted) refuse(w http.ResponseWriter, r *http.Request, e *oauth.Error) {
	status, reference := http.StatusBadRequest, e.Description
	switch e.Kind {
	case oauth.Internal:
		h.failed(w, r, e)
		return
	case oauth.LinkSpent:
		h.Pages.Message(w, r, http.StatusGone, page.Message{Fault: page.FaultLinkUsed})
		return
	case oauth.UnknownClient:
		status = http.StatusNotFound
		reference = "client_id is unknown."
	case oauth.UnknownAccount:
		h.Pages.Message(w, r, http.StatusNotFound, page.NoCustomer())
		return
	case oauth.UnknownProduct:
		status = http.StatusNotFound
	case oauth.ClientDisabled:
		h.Pages.Message(w, r, http.StatusUnprocessableEntity, page.Message{Fault: page.FaultAppDisabled})
		return
	default:
	}
	h.Pages.Message(w, r, status, page.Message{Fault: page.FaultBadRequest, Reference: reference})
}

// printable is a name as it may be shown and logged: bounded, without control
// characters.
func printable(name string) string {
	if len(name) > 256 || !oauth.CleanText(name) {
		return ""
	}
	return name
}

// RedirectToSignIn is the sign-in page for an authorization request of the
// Login API.
func RedirectToSignIn(issuer, rawQuery string) string {
	return issuer + SignInPath + "?" + rawQuery
}

// RedirectToConsent is the consent page of a path for an authorization request.
func RedirectToConsent(issuer, path, rawQuery string) string {
	return issuer + path + "?" + rawQuery
}

// RedirectToOpenID is the sign-in page for an authorization request of OpenID
// Connect.
func RedirectToOpenID(issuer, rawQuery string) string {
	return issuer + OpenIDPath + "?" + rawQuery
}

// ReturnTo is the sign-in page that comes back to a path of the portal's own
// origin, sealed.
func ReturnTo(issuer, sealed string) string {
	return issuer + SignInPath + "?" + ReturnParam + "=" + url.QueryEscape(sealed)
}
