package portal

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
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// maxForm bounds the sign-in form, in bytes: a transaction contains the query of an
// authorization request.
const maxForm = 256 << 10

// showSignIn shows the sign-in page. A user who is signed in already gets a link to go
// on. If a provider is the only method, the browser is redirected to it.
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
	another := wantsSwitch(r.URL.RawQuery)
	view := page.SignIn{}
	if signedIn {
		fit := p.accepts(in)
		if fit && !another {
			h.already(w, r, in, p)
			return
		}
		view.SwitchFrom = person(in.User)
		if !fit {
			view.Other = p.authorization != nil && !p.authorization.Expects(in.User)
			view.MethodRefused = !view.Other && !p.acceptsUser(in.User)
			view.Again = !view.Other && !view.MethodRefused
			if view.Again && h.Methods.AcceptsPassword(in.User.Signin, p.allowed()) {
				view.Username = username.Printable(in.User.Name)
			}
			another = another || !view.Again
		}
	}
	// With a session there is always a page, so that no redirect loop begins.
	if methods := h.Methods.ProviderMethods(p.allowed()); !signedIn && !another && len(methods) == 1 && h.Methods.PasswordMethods(p.allowed()) == nil {
		if b, ok := h.currentDevice(w, r, p); ok {
			h.sendToProvider(w, r, b, methods[0], p, false, false)
		}
		return
	}
	if p.authorization != nil {
		view.Username = cmp.Or(username.Printable(p.authorization.LoginHint), view.Username)
	}
	h.ask(w, r, http.StatusOK, p, another, view)
}

// already shows the signed-in user, with links to go on and to switch.
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

// currentDevice returns the browser in the cookie, or a new one. If it cannot find out,
// it answers the request itself.
func (h *Hosted) currentDevice(w http.ResponseWriter, r *http.Request, p signInContext) (knownDevice, bool) {
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

// ask writes the sign-in page with a new transaction, and the allowed methods.
func (h *Hosted) ask(w http.ResponseWriter, r *http.Request, status int, p signInContext, another bool, v page.SignIn) {
	b, ok := h.currentDevice(w, r, p)
	if !ok {
		return
	}
	sealed, err := seal(r.Context(), h.Keys, transactionLabel, h.newTransaction(b, p, another))
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	v.App = p.app()
	if h.Methods.PasswordMethods(p.allowed()) != nil {
		v.Form = page.Form{Action: p.address(false), Transaction: sealed}
	}
	for _, method := range h.Methods.ProviderMethods(p.allowed()) {
		name, icon := method.Label()
		v.Providers = append(v.Providers, page.Provider{Name: name, Icon: icon, URL: startURL(method, sealed)})
	}
	if v.Form.Action == "" && v.Providers == nil {
		h.noMethodAllowed(w, r, p)
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

// noMethodAllowed answers that no sign-in method is allowed in this context.
func (h *Hosted) noMethodAllowed(w http.ResponseWriter, r *http.Request, p signInContext) {
	m := page.Message{
		Code: "003-022", Fault: page.FaultNoSignInMethod,
	}
	if p.authorization == nil {
		m.Fault = page.FaultStartAtApplication
	}
	h.message(w, r, http.StatusForbidden, p, m)
}

// signIn handles the form: name, password and transaction.
func (h *Hosted) signIn(w http.ResponseWriter, r *http.Request) {
	if !h.readForm(w, r) {
		return
	}
	t, b, p, ok := h.openTransaction(w, r, r.PostForm.Get("transaction"), signInContext{page: r.URL.Path, query: r.URL.RawQuery})
	if !ok {
		return
	}
	passwords := h.Methods.PasswordMethods(p.allowed())
	if passwords == nil {
		h.startAgain(w, r, http.StatusBadRequest, p, false, page.FaultSignInMethodRefused, page.Text{})
		return
	}
	name, password := r.PostForm.Get("username"), r.PostForm.Get("password")
	again := page.SignIn{Username: username.Printable(name)}
	in, signedIn, done := h.signedIn(w, r, p)
	if done {
		return
	}
	if signedIn {
		again.SwitchFrom = person(in.User)
	}
	if again.Problem = h.staleForm(r, t, b); again.Problem != nil {
		h.ask(w, r, http.StatusBadRequest, p, t.Another, again)
		return
	}
	user, b, refusal := h.verify(r, b, passwords, p.client(), name, password)
	if refusal != nil {
		h.askAgain(w, r, p, t, again, refusal)
		return
	}
	if p.authorization != nil && !p.authorization.AcceptsUser(user) {
		h.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, User: user, Client: p.client(), From: h.From(r), Why: "the account does not count for this request"})
		again.Problem = &page.Problem{Code: "010-026", Fault: page.FaultAccountNotAccepted(p.app())}
		h.ask(w, r, http.StatusForbidden, p, t.Another, again)
		return
	}
	first, err := h.useOnce(r.Context(), t)
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	if !first {
		again.Problem = &page.Problem{Code: "0", Fault: page.FaultFormResent, Next: page.NextPasswordAgain}
		h.ask(w, r, http.StatusConflict, p, t.Another, again)
		return
	}
	h.finishOnPage(w, r, FirstFactor{User: user, Authorization: p.authorization, device: b, context: p})
}

// staleForm returns why a form cannot be used any more; nil: it can.
func (h *Hosted) staleForm(r *http.Request, t transaction, b knownDevice) *page.Problem {
	if t.expired(h.Now()) {
		return &page.Problem{Code: "0", Fault: page.FaultPageExpired, Next: page.NextPasswordAgain}
	}
	if t.Browser != b.ID && r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		// Tabs that were opened at the same time, before the browser had its cookie,
		// got one each, and the browser kept only the last. The binding prevents that
		// another site posts its own transaction and password. A browser that reports
		// this origin for the form prevents that, too. All others get a new
		// transaction.
		return &page.Problem{Code: "0", Fault: page.FaultCookiesChanged, Next: page.NextPasswordAgain}
	}
	return nil
}

// askAgain shows the sign-in page with the reason why a password did not sign in.
func (h *Hosted) askAgain(w http.ResponseWriter, r *http.Request, p signInContext, t transaction, again page.SignIn, refusal *oauth.Error) {
	status := http.StatusUnauthorized
	again.Problem = &page.Problem{Code: "003-001", Fault: page.FaultWrongPassword}
	switch {
	case errors.Is(refusal, signin.ErrBusy):
		status = http.StatusServiceUnavailable
		again.RetryAfter = refusal.RetryAfter
		again.Problem = &page.Problem{Code: "004-001", Fault: page.FaultBusy, Next: page.NextPasswordNotChecked}
	case refusal.Kind == oauth.Internal:
		h.failedFor(w, r, p, refusal)
		return
	case refusal.Kind == oauth.TooManyAttempts:
		status = http.StatusTooManyRequests
		again.RetryAfter = refusal.RetryAfter
		again.Problem = &page.Problem{Code: "002-057", Fault: page.FaultTooManyAttempts}
	case refusal.Kind == oauth.ProviderFailed:
		status = http.StatusServiceUnavailable
		again.RetryAfter = refusal.RetryAfter
		again.Problem = &page.Problem{Code: "010-015", Fault: page.FaultPasswordUnchecked}
		if errors.Is(refusal, signin.ErrWrong) { // so it counts as an attempt
			again.Problem.Fault = page.FaultPasswordCheckFailed
		}
	case refusal.Kind == oauth.Denied:
		status = http.StatusForbidden
		again.Problem = &page.Problem{Code: "010-026", Fault: page.FaultAccountIDRefused}
	}
	h.ask(w, r, status, p, t.Another, again)
}

// redirectBack continues with the request that the user signed in for.
func (h *Hosted) redirectBack(w http.ResponseWriter, r *http.Request, p signInContext) {
	h.Pages.Continue(w, r, page.Continue{
		Title: page.DoneSignedIn, App: p.app(), URL: h.continueURL(p), WidgetOnly: p.widgetOnly(),
		Opens: p.authorization != nil && !p.authorization.Presentation.Popup && p.authorization.CustomScheme(),
	})
}

// openTransaction opens the transaction of a sign-in page and finds its context. If
// that fails, it answers the request itself, and the answer leads to again.
func (h *Hosted) openTransaction(w http.ResponseWriter, r *http.Request, sealed string, again signInContext) (t transaction, b knownDevice, p signInContext, ok bool) {
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
	b, p, ok = h.resumeTransaction(w, r, t)
	return t, b, p, ok
}

// resumeTransaction finds this browser, and the context of a transaction. If that
// fails, it answers the request itself.
func (h *Hosted) resumeTransaction(w http.ResponseWriter, r *http.Request, t transaction) (b knownDevice, p signInContext, ok bool) {
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

// readForm reads the form of a page. If that fails, it answers the request itself.
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

// ReturnTo returns the address of the sign-in page that continues to a sealed path of
// the portal's own origin.
func ReturnTo(issuer, sealed string) string {
	return issuer + SignInPath + "?" + ReturnParam + "=" + url.QueryEscape(sealed)
}
