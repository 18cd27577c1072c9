package signin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// maxForm bounds, in bytes, what the sign-in form may post: a transaction holds
// the query of an authorization request.
const maxForm = 256 << 10

// showSignIn is the sign-in page, or, for somebody who is signed in already,
// the way on.
func (h *Hosted) showSignIn(w http.ResponseWriter, r *http.Request) {
	p, refusal := h.purposeOf(r.Context(), r.URL.RawQuery)
	if refusal != nil {
		h.refuse(w, refusal)
		return
	}
	in, signedIn, done := h.signedIn(w, r)
	if done {
		return
	}
	view := page.SignIn{}
	if signedIn {
		if r.URL.Query().Get(switchParam) != "1" {
			h.already(w, r, in, p)
			return
		}
		view.SwitchFrom = person(in.User)
	}
	h.ask(w, r, http.StatusOK, p, r.URL.RawQuery, view)
}

// already shows who is signed in, with the way on and a way to switch.
func (h *Hosted) already(w http.ResponseWriter, r *http.Request, in oauth.SignedIn, p purpose) {
	v := page.Account{
		Person:    *person(in.User),
		App:       p.app(),
		SwitchURL: signInURL(r.URL.RawQuery, true),
		SignOut:   page.Form{Action: SignOutPath},
	}
	if p.query != "" || p.returnTo != "" {
		v.ContinueURL = h.continueURL(p)
	}
	h.Pages.Account(w, v)
}

func person(u session.User) *page.Person { return &page.Person{Name: u.Name, Email: u.Email} }

// ask writes the sign-in page with a new transaction.
func (h *Hosted) ask(w http.ResponseWriter, r *http.Request, status int, p purpose, rawQuery string, v page.SignIn) {
	b, ok, err := h.browser(r)
	if err == nil && !ok {
		b = newBrowser()
		err = h.setBrowser(r.Context(), w, b)
	}
	if err != nil {
		h.failed(w, err)
		return
	}
	sealed, err := h.sealTransaction(r.Context(), transaction{
		ID: newBrowser().ID, Browser: b.ID, Begun: h.Now().Unix(), Query: []byte(p.query), Return: []byte(p.returnTo),
	})
	if err != nil {
		h.failed(w, err)
		return
	}
	v.App = p.app()
	v.Form = page.Form{Action: signInURL(rawQuery, false), Transaction: sealed}
	if a := p.authorization; a != nil {
		v.Scopes = a.Scopes
		v.WidgetOnly = a.Presentation.WidgetOnly
		v.DisableSocials = a.Presentation.DisableSocials
	}
	h.Pages.SignIn(w, status, v)
}

// signIn takes the form: name, password and transaction.
func (h *Hosted) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		h.unreadable(w, err)
		return
	}
	t, b, p, ok := h.begun(w, r)
	if !ok {
		return
	}
	name, password := r.PostForm.Get("username"), r.PostForm.Get("password")
	again := page.SignIn{Username: printable(name)}
	in, signedIn, done := h.signedIn(w, r)
	if done {
		return
	}
	if signedIn {
		again.SwitchFrom = person(in.User)
	}
	rawQuery := p.query
	if p.returnTo != "" {
		rawQuery = r.URL.RawQuery
	}

	if t.expired(h.Now()) {
		again.Problem = &page.Problem{Title: "This page was open for too long", Next: "Enter your password again."}
		h.ask(w, r, http.StatusBadRequest, p, rawQuery, again)
		return
	}
	if t.Browser != b.ID && r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		// Tabs that were opened at once, before the browser had its cookie, each
		// got one, and only the last stayed. What the binding keeps out is a
		// form that another site filled in with its own transaction and
		// password; a browser that says the form is of this origin rules that
		// out as well. For others a transaction of their own begins.
		again.Problem = &page.Problem{Title: "Your cookies changed since this page was opened", Next: "Enter your password again."}
		h.ask(w, r, http.StatusBadRequest, p, rawQuery, again)
		return
	}
	user, refusal := h.verify(r, b, p.client(), name, password)
	if refusal != nil {
		if errors.Is(refusal, ErrBusy) {
			again.RetryAfter = refusal.RetryAfter
			again.Problem = &page.Problem{Title: "Many people are signing in right now", Next: "Your password was not checked, and this does not count as an attempt."}
			h.ask(w, r, http.StatusServiceUnavailable, p, rawQuery, again)
			return
		}
		if refusal.Kind == oauth.Internal {
			h.failed(w, refusal)
			return
		}
		status := http.StatusUnauthorized
		again.Problem = &page.Problem{Title: "User name or password is wrong", Next: "Check both and try again."}
		if refusal.Kind == oauth.TooManyAttempts {
			status = http.StatusTooManyRequests
			again.RetryAfter = refusal.RetryAfter
			again.Problem = &page.Problem{Title: "Too many attempts", Next: "To keep the account safe, signing in is paused."}
		}
		h.ask(w, r, status, p, rawQuery, again)
		return
	}
	first, err := h.once(r.Context(), t)
	if err != nil {
		h.failed(w, err)
		return
	}
	if !first {
		again.Problem = &page.Problem{Title: "This form was sent before", Next: "Enter your password again."}
		h.ask(w, r, http.StatusConflict, p, rawQuery, again)
		return
	}
	if err := h.begin(w, r, user, b, p.client()); err != nil {
		h.failed(w, err)
		return
	}
	h.Pages.Continue(w, page.Continue{Title: "You’re signed in", App: p.app(), URL: h.continueURL(p)})
}

// begun opens the transaction of a form and finds what it is for. It answers by
// itself where the form cannot be taken.
func (h *Hosted) begun(w http.ResponseWriter, r *http.Request) (t transaction, b browser, p purpose, ok bool) {
	plain, err := h.Keys.Unseal(r.Context(), transactionPurpose, r.PostForm.Get("transaction"))
	if err == nil {
		err = json.Unmarshal(plain, &t)
	}
	if err != nil {
		if !errors.Is(err, keys.ErrSealed) {
			h.failed(w, err)
			return t, b, p, false
		}
		h.startAgain(w, http.StatusBadRequest, "This sign-in cannot go on", "The form was changed, or comes from an older version of this page.", signInURL(r.URL.RawQuery, false))
		return t, b, p, false
	}
	b, there, err := h.browser(r)
	if err != nil {
		h.failed(w, err)
		return t, b, p, false
	}
	if !there {
		h.Pages.Message(w, http.StatusBadRequest, page.Message{
			Title: "Your browser blocks cookies",
			Text:  "Signing in needs a cookie, and your browser did not send it back.",
			Next:  "Allow cookies for this site, then start again. A private window or an extension may block them.",
			Link:  &page.Link{Text: "Start again", URL: signInURL(r.URL.RawQuery, false)},
		})
		return t, b, p, false
	}
	p = purpose{query: string(t.Query), returnTo: string(t.Return)}
	if p.query != "" {
		// The configuration may have changed since the page was shown.
		authorization, refusal := h.Check(p.query)
		if refusal != nil {
			h.refuse(w, refusal)
			return t, b, p, false
		}
		p.authorization = authorization
	}
	return t, b, p, true
}

// verify checks the password within the limits of attempts. The client, which
// may be nil, is for the audit log.
func (h *Hosted) verify(r *http.Request, b browser, client *oauth.Client, name, password string) (session.User, *oauth.Error) {
	account := h.Passwords.Account(name)
	who := attempt{account: account, address: string(h.From(r))}
	if b.knows(account) {
		who.browser = b.ID
	}
	done, wait := h.Attempts.begin(h.Now(), h.Limits, who)
	if done == nil {
		h.Server.Audit.Record(oauth.Event{What: oauth.SignInLimited, Client: client, From: h.From(r), User: session.User{Name: printable(name)}})
		return session.User{}, &oauth.Error{Kind: oauth.TooManyAttempts, Description: "Too many attempts.", RetryAfter: wait}
	}
	u, err := h.Passwords.Check(r.Context(), name, password, who.browser != "")
	wrong := errors.Is(err, ErrWrong)
	done(h.Now(), wrong)
	switch {
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
func (h *Hosted) begin(w http.ResponseWriter, r *http.Request, u session.User, b browser, client *oauth.Client) error {
	if err := h.setBrowser(r.Context(), w, b.remember(u.Subject)); err != nil {
		return err
	}
	before, _ := h.Session.Value(r)
	token, sess, err := h.Server.BeginSession(r.Context(), session.SignIn{User: u, Agent: r.UserAgent(), From: string(h.From(r))}, before)
	if err != nil {
		return err
	}
	h.Session.Set(w, token.Encode(), h.Lifetime)
	h.Server.Audit.Record(oauth.Event{What: oauth.SignedInEvent, User: u, Client: client, Session: sess, From: h.From(r)})
	return nil
}

func (h *Hosted) unreadable(w http.ResponseWriter, err error) {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		h.startAgain(w, http.StatusRequestEntityTooLarge, "That was too much", "The form is larger than it can be.", SignInPath)
		return
	}
	h.startAgain(w, http.StatusBadRequest, "The form could not be read", "It arrived damaged.", SignInPath)
}

func (h *Hosted) startAgain(w http.ResponseWriter, status int, title, text, link string) {
	h.Pages.Message(w, status, page.Message{
		Title: title, Text: text, Next: "Start again from the sign-in page.",
		Link: &page.Link{Text: "Start again", URL: link},
	})
}

// refuse shows a refusal of an authorization request to a person. What is wrong
// is the application's doing, so the page says whom to tell.
func (h *Hosted) refuse(w http.ResponseWriter, e *oauth.Error) {
	status, reference := http.StatusBadRequest, e.Description
	switch e.Kind {
	case oauth.Internal:
		h.failed(w, e)
		return
	case oauth.UnknownClient:
		status = http.StatusNotFound
		reference = "client_id is unknown."
	case oauth.ClientDisabled:
		status = http.StatusUnprocessableEntity
	default:
	}
	h.Pages.Message(w, status, page.Message{
		Title:     "The application asked for something that does not work",
		Text:      "Signing in was not begun.",
		Next:      "Go back to the application and try again. If it happens again, tell the people who make it, and quote the line below.",
		Reference: reference,
	})
}

// printable is a name as it may be shown and logged: bounded, without control
// characters.
func printable(name string) string {
	if len(name) > 256 || !oauth.CleanText(name) {
		return ""
	}
	return name
}

// RedirectToSignIn is the sign-in page for an authorization request.
func RedirectToSignIn(issuer, rawQuery string) string {
	return issuer + SignInPath + "?" + rawQuery
}

// ReturnTo is the sign-in page that comes back to a path of the portal's own
// origin, sealed.
func ReturnTo(issuer, sealed string) string {
	return issuer + SignInPath + "?" + ReturnParam + "=" + url.QueryEscape(sealed)
}
