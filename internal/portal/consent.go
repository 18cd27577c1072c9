package portal

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

// The paths of the consent page. Their query is that of an authorization request.
const (
	ConsentPath       = "/sso/consent"
	OpenIDConsentPath = "/sso/consent/oauth2"
)

// A question is the question of a consent page, sealed in its form. Asked identifies
// the request and the session, so that an answer is valid only for these.
type question struct {
	transaction
	Asked [sha256.Size]byte `json:"a"`
}

const consentLabel = "consent page"

// showConsent asks whether an application may have the access that it requests. Only
// the form's POST grants it.
func (h *Hosted) showConsent(w http.ResponseWriter, r *http.Request) {
	p, in, signedIn, done := h.consentFor(w, r)
	if done {
		return
	}
	if signedIn {
		refusal := h.Server.CheckConsent(r.Context(), p.authorization, in)
		switch {
		case refusal != nil && refusal.Kind != oauth.ConsentRequired:
			h.failedFor(w, r, p, refusal)
			return
		case refusal != nil:
			h.askConsent(w, r, http.StatusOK, p, in, nil)
			return
		}
	}
	httpapi.Redirect(w, http.StatusSeeOther, p.request.Continue+"?"+p.query)
}

// consentFor returns the context of a consent page, and the signed-in user. If it
// cannot find them, it answers the request and returns done.
func (h *Hosted) consentFor(w http.ResponseWriter, r *http.Request) (p signInContext, in oauth.SignedIn, signedIn, done bool) {
	i := slices.IndexFunc(h.Requests, func(q Request) bool { return q.Consent == r.URL.Path })
	if i < 0 {
		h.NotFound(w, r)
		return p, in, false, true
	}
	p, refusal := h.contextOf(r.Context(), h.Requests[i].Page, r.URL.RawQuery)
	if refusal == nil && p.request == nil {
		refusal = oauth.MissingParam("client_id")
	}
	if refusal != nil {
		h.refuse(w, r, refusal)
		return p, in, false, true
	}
	in, signedIn, done = h.signedIn(w, r, p)
	return p, in, signedIn && p.authorization.Accepts(in), done
}

// askConsent writes the consent page, with a question of its own.
func (h *Hosted) askConsent(w http.ResponseWriter, r *http.Request, status int, p signInContext, in oauth.SignedIn, problem *page.Problem) {
	a := p.authorization
	unknown, err := h.Server.NewScopes(r.Context(), a, in)
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	sealed, err := seal(r.Context(), h.Keys, consentLabel, question{
		transaction{ID: newDevice().ID, Begun: h.Now().Unix()}, oauth.ConsentDigest(a, in),
	})
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	v := page.Consent{
		Remembered: a.Client.Consent == oauth.ConsentFirst,
		App:        p.app(), Person: *person(in.User), Scopes: scopesOf(a.Client, a.Scopes), Problem: problem,
		Form:      page.Form{Action: withQuery(r.URL.Path, r.URL.RawQuery), Transaction: sealed},
		SwitchURL: p.address(true), WidgetOnly: p.widgetOnly(), Opener: p.opener(),
	}
	for i := range v.Scopes {
		v.Scopes[i].New = len(unknown) < len(a.Scopes) && slices.Contains(unknown, v.Scopes[i].Name)
	}
	if !a.CustomScheme() {
		v.Site = a.Redirect.URL.Host
	}
	h.Pages.Consent(w, r, status, v)
}

// scopesOf returns scopes of a client for a page. They include the e-mail address if
// a claim of the client contains it anyway.
func scopesOf(c *oauth.Client, names []string) []page.Scope {
	scopes := make([]page.Scope, 0, len(names)+1)
	if c.TellsEmail() && !slices.Contains(names, "email") {
		scopes = append(scopes, page.Scope{Name: "email"})
	}
	for _, name := range names {
		scopes = append(scopes, page.Scope{Name: name, Text: c.ScopeTexts[name]})
	}
	return scopes
}

// answerConsent handles the form of the consent page.
func (h *Hosted) answerConsent(w http.ResponseWriter, r *http.Request) {
	if !h.readForm(w, r) {
		return
	}
	p, in, signedIn, done := h.consentFor(w, r)
	if done {
		return
	}
	a := p.authorization
	if !signedIn {
		// With a page, since the redirects may lead to other origins.
		title := page.DoneSignedOut
		if in.Session != nil { // as another user in another tab, who does not count here
			title = page.DoneSignInAgain
		}
		h.Pages.Continue(w, r, page.Continue{Title: title, App: p.app(), URL: p.request.Continue + "?" + p.query, WidgetOnly: p.widgetOnly()})
		return
	}
	q, problem, err := h.openQuestion(r, a, in)
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	decision := r.PostForm.Get("decision")
	if problem != nil || decision != page.DecisionAllow && decision != page.DecisionDeny {
		h.askConsent(w, r, http.StatusConflict, p, in, problem)
		return
	}
	if decision == page.DecisionDeny {
		h.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, User: in.User, Client: a.Client, Session: in.Session, From: h.From(r), Why: "the user did not allow it"})
		p.request.Deny(w, r, a)
		return
	}
	h.allow(w, r, p, in, q)
}

// allow stores the user's consent, and continues with the request.
func (h *Hosted) allow(w http.ResponseWriter, r *http.Request, p signInContext, in oauth.SignedIn, q question) {
	if refusal := h.Server.CountConsent(in, p.client(), h.From(r)); refusal != nil {
		h.message(w, r, http.StatusTooManyRequests, p, page.Message{
			Code: "002-057", Fault: page.FaultTooManyAnswers, RetryAfter: refusal.RetryAfter,
		})
		return
	}
	first, err := h.useOnce(r.Context(), q.transaction)
	if err == nil && first {
		err = h.Server.Allow(r.Context(), p.authorization, in, h.From(r))
	}
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	next := p.request.Continue + "?" + p.query
	if !first {
		h.message(w, r, http.StatusConflict, p, page.Message{
			Fault: page.FaultConsentUsed, Link: &page.Link{Label: page.LinkGoOn, URL: next},
		})
		return
	}
	h.Pages.Continue(w, r, page.Continue{
		Title: page.DoneAllowed, App: p.app(), URL: next, WidgetOnly: p.widgetOnly(),
		Opens: !p.authorization.Presentation.Popup && p.authorization.CustomScheme(),
	})
}

// openQuestion opens the question of a form, or returns why the page must be shown
// again: a forged answer, or an answer to another question, is not accepted.
func (h *Hosted) openQuestion(r *http.Request, a *oauth.Authorization, in oauth.SignedIn) (q question, problem *page.Problem, err error) {
	plain, err := h.Keys.Unseal(r.Context(), consentLabel, r.PostForm.Get("transaction"))
	if err == nil {
		err = json.Unmarshal(plain, &q)
	} else if !errors.Is(err, keys.ErrSealed) {
		return q, nil, err
	}
	switch {
	case err != nil:
		h.cannotOpen(r)
		return q, &page.Problem{Fault: page.FaultFormInvalid, Next: page.NextAnswerAgain}, nil
	case q.Asked != oauth.ConsentDigest(a, in):
		return q, &page.Problem{Fault: page.FaultConsentChanged}, nil
	case q.expired(h.Now()):
		return q, &page.Problem{Fault: page.FaultPageExpired, Next: page.NextAnswerAgain}, nil
	}
	return q, nil, nil
}

// allowedApps returns the applications that have the consent of the signed-in user.
func (h *Hosted) allowedApps(r *http.Request, in oauth.SignedIn) ([]page.AllowedApp, error) {
	consents, err := h.Server.Consents(r.Context(), in.User)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(consents, func(a, b oauth.Consent) int { return b.Given.Compare(a.Given) })
	var apps []page.AllowedApp
	for _, c := range consents {
		apps = append(apps, page.AllowedApp{ID: c.Client.ID, App: c.Client.Name, Scopes: scopesOf(c.Client, c.Scopes), Since: c.Given})
	}
	return apps, nil
}
