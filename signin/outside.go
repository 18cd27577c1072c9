package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/endpoint"
	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// outside is a transaction at a provider. It travels sealed as the state, and
// so comes back with the answer.
type outside struct {
	transaction
	Way       string `json:"w"`
	Nonce     string `json:"n"`
	Verifier  string `json:"v"`
	AuthAfter int64  `json:"a,omitempty"` // Unix milliseconds; 0: whenever

	// Asked says that a page of this browser's own had the button.
	Asked bool `json:"u,omitempty"`
}

const (
	outsidePurpose = "sign-in at a provider"

	// maxState bounds a state, in bytes: many servers take no address beyond 8
	// KiB, and the provider adds a code to it.
	maxState = 6 << 10
)

// departure is what the way gets, but for what only Start needs.
func (h *Hosted) departure(o outside) Departure {
	d := Departure{RedirectURI: h.Server.Issuer + CallbackPrefix + o.Way, Nonce: o.Nonce, Verifier: o.Verifier}
	if o.AuthAfter != 0 {
		d.AuthAfter = time.UnixMilli(o.AuthAfter)
	}
	return d
}

// way finds the way with an ID that counts for p. It answers by itself where
// there is none.
func (h *Hosted) way(w http.ResponseWriter, id string, p purpose) (Redirecting, bool) {
	way := h.Ways.provider(p, id)
	if way == nil {
		h.startAgain(w, http.StatusNotFound, p, false, "You cannot sign in this way", "There is no such way to sign in, or it is not for this application.")
		return nil, false
	}
	return way, true
}

// leave begins a sign-in at a provider, for what the transaction of a sign-in
// page was for.
func (h *Hosted) leave(w http.ResponseWriter, r *http.Request, id string) {
	t, b, p, ok := h.begun(w, r, r.URL.Query().Get("t"), purpose{})
	if !ok {
		return
	}
	way, ok := h.way(w, id, p)
	if !ok {
		return
	}
	if t.expired(h.Now()) {
		h.startAgain(w, http.StatusBadRequest, p, t.Another, "This page was open for too long", "Signing in was not begun.")
		return
	}
	// Whose transaction it is does not matter, since it says what for, and whether
	// this browser was asked; what the provider gets is bound to this browser.
	h.depart(w, r, b, way, p, t.Another, t.Browser == b.ID)
}

// depart sends the browser to a provider.
func (h *Hosted) depart(w http.ResponseWriter, r *http.Request, b browser, way Redirecting, p purpose, another, asked bool) {
	to, err := h.start(r.Context(), b, way, p, another, asked)
	if errors.Is(err, errStateTooLong) {
		name, _ := way.Label()
		h.message(w, http.StatusRequestURITooLong, p, page.Message{
			Title: "The application asked for too much at once",
			Text:  "What it asked for is too long to take along to " + name + ".",
			Next:  "Sign in another way if there is one. If it happens again, tell the people who make the application.",
			Link:  &page.Link{Text: "Back to the sign-in page", URL: p.address(true)},
		})
		return
	}
	if err != nil {
		h.wrong(w, r, way, p, err)
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
func (h *Hosted) start(ctx context.Context, b browser, way Redirecting, p purpose, another, asked bool) (string, error) {
	o := outside{
		transaction: h.newTransaction(b, p, another), Way: way.ID(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(),
		Asked: asked,
	}
	hint := ""
	if a := p.authorization; a != nil {
		hint = printable(a.LoginHint)
		if !a.AuthAfter.IsZero() {
			o.AuthAfter = a.AuthAfter.UnixMilli()
		}
	}
	state, err := seal(ctx, h.Keys, outsidePurpose, o)
	if err != nil {
		return "", err
	}
	if len(state) > maxState {
		return "", errStateTooLong
	}
	d := h.departure(o)
	d.State, d.LoginHint, d.SelectAccount = state, hint, another
	return way.Start(ctx, d)
}

// comeBack ends a sign-in at a provider, whose answer is in the query of the
// callback.
func (h *Hosted) comeBack(w http.ResponseWriter, r *http.Request, id string) {
	answer, err := endpoint.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.damaged(w)
		return
	}
	h.finish(w, r, id, answer)
}

// finish ends a sign-in at a provider, given its answer.
func (h *Hosted) finish(w http.ResponseWriter, r *http.Request, id string, answer url.Values) {
	o, b, p, ok := h.returned(w, r, answer)
	if !ok {
		return
	}
	if o.Way != id {
		h.startAgain(w, http.StatusBadRequest, p, o.Another, "Signing in was not finished", "The answer belongs to another way to sign in.")
		return
	}
	if o.Browser != b.ID {
		// Somebody else's state, or that of a tab whose cookie another tab
		// replaced: the two cannot be told apart.
		h.startAgain(w, http.StatusBadRequest, p, o.Another, "Signing in was not finished", "It was begun in another browser, or your cookies changed since.")
		return
	}
	if o.expired(h.Now()) {
		h.startAgain(w, http.StatusBadRequest, p, o.Another, "Signing in took too long", "The answer is too old to be used.")
		return
	}
	way, ok := h.way(w, id, p)
	if !ok {
		return
	}
	switch used, err := h.used(r.Context(), o.transaction); {
	case err != nil:
		h.failedFor(w, r, p, err)
		return
	case used:
		h.finishedBefore(w, p)
		return
	}
	arrival, err := h.arrival(r, way, h.departure(o), answer)
	if err != nil {
		h.wrong(w, r, way, p, err)
		return
	}
	h.accept(w, r, o, b, way, p, arrival)
}

// accept begins the session of a user who came back, if what the sign-in is for
// takes this one.
func (h *Hosted) accept(w http.ResponseWriter, r *http.Request, o outside, b browser, way Redirecting, p purpose, arrival Arrival) {
	user, err := h.Ways.whose(arrival.User, way)
	if err != nil {
		h.wrong(w, r, way, p, err)
		return
	}
	arrival.User = user
	if refusal := h.admit(r, user, p.client()); refusal != nil {
		h.notAdmitted(w, r, b, way, p, user)
		return
	}
	if _, may := h.Ways.Current(user); !may { // the way went while its provider answered
		h.Pages.Message(w, http.StatusNotFound, page.NoCustomer())
		return
	}
	if p.authorization != nil && !p.authorization.AcceptsUser(user) {
		h.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, User: user, Client: p.client(), From: h.From(r), Why: "the account does not count for this request"})
		h.unfit(w, r, b, way, p, user)
		return
	}
	in, signedIn, done := h.signedIn(w, r, p)
	if done {
		return
	}
	if signedIn && !o.Asked && in.User.Subject != user.Subject && in.User.Subject != h.Ways.OtherSubject(user) {
		// Any site can send a browser to a provider, and a provider can answer
		// without asking anybody: that replaces no session.
		h.somebodyElse(w, r, b, way, p, in.User, user)
		return
	}
	if refusal := h.Server.CountSignIn(user, p.client(), h.From(r)); refusal != nil {
		h.message(w, http.StatusTooManyRequests, p, page.Message{
			Code: "002-057", Title: "Too many sign-ins", Text: "This account was signed in to very often within an hour.",
			Next: "To keep the site up, signing in is paused.", RetryAfter: refusal.RetryAfter,
		})
		return
	}
	first, err := h.once(r.Context(), o.transaction)
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	if !first {
		h.finishedBefore(w, p)
		return
	}
	up, err := h.keep(r, way, arrival)
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	if _, err := h.begin(w, r, session.SignIn{User: user, Upstream: up}, b, p.client()); err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	h.goOn(w, p)
}

// returned opens the state of an answer and finds what the sign-in is for. It
// answers by itself where that cannot be.
func (h *Hosted) returned(w http.ResponseWriter, r *http.Request, answer url.Values) (o outside, b browser, p purpose, ok bool) {
	state := answer.Get("state")
	plain, err := []byte(nil), keys.ErrSealed
	if len(state) <= maxState && len(answer["state"]) == 1 {
		plain, err = h.Keys.Unseal(r.Context(), outsidePurpose, state)
	}
	if err == nil {
		err = json.Unmarshal(plain, &o)
	}
	if err != nil {
		if !errors.Is(err, keys.ErrSealed) {
			h.failed(w, r, err)
			return o, b, p, false
		}
		h.cannotOpen(r)
		h.startAgain(w, http.StatusBadRequest, purpose{}, false, "Signing in was not finished", "The answer is not one to a sign-in that was begun here.")
		return o, b, p, false
	}
	b, p, ok = h.bound(w, r, o.transaction)
	return o, b, p, ok
}

// used says whether a transaction was used: only once decides.
func (h *Hosted) used(ctx context.Context, t transaction) (bool, error) {
	_, used, err := h.Store.Get(ctx, t.key())
	if err != nil {
		return false, fmt.Errorf("looking up a transaction: %w", err)
	}
	return used, nil
}

func (h *Hosted) finishedBefore(w http.ResponseWriter, p purpose) {
	h.message(w, http.StatusConflict, p, page.Message{
		Title: "This sign-in was finished before",
		Text:  "Its answer can be used once.",
		Next:  "Go on if you are signed in; if you are not, you are asked again.",
		Link:  &page.Link{Text: "Go on", URL: h.continueURL(p)},
	})
}

// unfit says that an account will not do, and leads to the provider for another.
func (h *Hosted) unfit(w http.ResponseWriter, r *http.Request, b browser, way Redirecting, p purpose, user session.User) {
	name, _ := way.Label()
	h.otherAccount(w, r, http.StatusForbidden, b, way, p, page.Message{
		Code:  "010-026",
		Title: "This account cannot be used here",
		Text:  "At " + name + " you are signed in as " + calledBy(user) + ", which is no account for " + p.app() + ".",
		Next:  "You have not been signed in here. Use another account, or ask the people who gave you the application.",
		Link:  &page.Link{Text: "Use another account"},
	})
}

// somebodyElse says that the browser has a session of another user, which ends
// only if its owner wants it to.
func (h *Hosted) somebodyElse(w http.ResponseWriter, r *http.Request, b browser, way Redirecting, p purpose, here, there session.User) {
	name, _ := way.Label()
	stay := p
	stay.query = without(p.query, switchParam)
	h.otherAccount(w, r, http.StatusConflict, b, way, p, page.Message{
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
func (h *Hosted) otherAccount(w http.ResponseWriter, r *http.Request, status int, b browser, way Redirecting, p purpose, m page.Message) {
	sealed, err := seal(r.Context(), h.Keys, transactionPurpose, h.newTransaction(b, p, true))
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	m.Link.URL = startURL(way, sealed)
	h.message(w, status, p, m)
}

// calledBy is what a person calls their account by.
func calledBy(u session.User) string { return cmp.Or(u.Email, u.Name) }

// startURL is where a sign-in by a way starts.
func startURL(way Way, transaction string) string {
	return StartPrefix + way.ID() + "?t=" + url.QueryEscape(transaction)
}

// wrong says why a sign-in at a provider was not finished, and what to do.
func (h *Hosted) wrong(w http.ResponseWriter, r *http.Request, way Redirecting, p purpose, err error) {
	name, _ := way.Label()
	m := page.Message{Code: "010-015", Link: &page.Link{Text: "Try again", URL: p.address(false)}}
	status, what := http.StatusBadGateway, oauth.SignInFailed
	down, refused := (*DownError)(nil), (*RefusedError)(nil)
	switch {
	case errors.Is(err, ErrBusy):
		status, what, m.RetryAfter = http.StatusServiceUnavailable, oauth.SignInLimited, 5*time.Second
		m.Code = "004-001"
		m.Title = "Many people are signing in right now"
		m.Text = "Signing in with " + name + " was not finished."
	case errors.Is(err, ErrCancelled):
		status = http.StatusForbidden
		m.Title = "You were not signed in"
		m.Text = "Signing in with " + name + " was cancelled."
		m.Next = "Try again, or go back to the application."
	case errors.Is(err, errDisabled):
		status = http.StatusForbidden
		m.Code = "002-040"
		m.Title = "Your account here is disabled"
		m.Text = name + " knows you, but your account here may not sign in."
		m.Next = "If that is not right, tell the people who run this site."
	case errors.Is(err, ErrNotAnew):
		status = http.StatusForbidden
		m.Title = "You have to sign in anew"
		m.Text = "The application asks you to prove again who you are, and " + name + " did not ask you."
		m.Next = "Sign out there, then try again."
	case errors.Is(err, ErrAnswer):
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
		h.failedFor(w, r, p, fmt.Errorf("signing in by %s: %w", way.ID(), err))
		return
	}
	// What anybody can make up does not crowd out what the provider says itself.
	lines := &h.notFinished
	if errors.Is(err, ErrAnswer) || refused != nil && refused.ByBrowser {
		lines = &h.notBelieved
	}
	h.warnOf(lines, way.ID(), err, r, "a sign-in at a provider was not finished", zap.String("signin", way.ID()))
	h.Server.Audit.Record(oauth.Event{What: what, Client: p.client(), From: h.From(r), Why: way.ID(), Said: err.Error()})
	if status == http.StatusServiceUnavailable {
		m.Retry, m.Link = &page.Retry{URL: m.Link.URL}, nil
	}
	h.message(w, status, p, m)
}
