package portal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/background"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

const (
	// sentOnParam, in the query of a callback, marks an answer that our own page
	// forwards.
	sentOnParam = "sent_on"

	// maxAnswerFields bounds the fields of an answer that is posted.
	maxAnswerFields = 64
)

// finishPosted is finishAtCallback for a provider that posts its answer (OAuth 2.0
// Form Post Response Mode), as Apple does. The browser sends none of our cookies with
// the form of another site, since they are SameSite=Lax. So it gets a page that posts
// the same fields again, from this origin. They are in a body again, so that no
// address and no access log has them. The second request is checked like every other
// answer. If another site sends only the second form, it comes without cookies.
func (h *Hosted) finishPosted(w http.ResponseWriter, r *http.Request, id string) {
	raw, status, refusal := httpapi.ReadForm(w, r)
	if refusal != nil {
		h.startAgain(w, r, status, signInContext{}, false, page.FaultSignInNotFinished, page.ReasonAnswerDamaged)
		return
	}
	answer, err := httpapi.ParseQuery(raw)
	fields := 0
	for values := range maps.Values(answer) {
		fields += len(values)
	}
	if err != nil || fields > maxAnswerFields {
		h.damaged(w, r)
		return
	}
	if r.URL.RawQuery == sentOnParam+"=1" {
		h.finish(w, r, id, answer)
		return
	}
	if !h.Methods.IsProvider(id) {
		h.method(w, r, id, signInContext{}) // which says so
		return
	}
	h.Pages.FormPost(w, r, page.FormPost{
		Title: page.DoneSigningIn, ActionURL: CallbackPrefix + id + "?" + sentOnParam + "=1", Fields: fieldsOf(answer),
	})
}

// fieldsOf are the fields of a form, in the order of their names.
func fieldsOf(form url.Values) []page.Field {
	var fields []page.Field
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			fields = append(fields, page.Field{Name: name, Value: value})
		}
	}
	return fields
}

func (h *Hosted) damaged(w http.ResponseWriter, r *http.Request) {
	h.startAgain(w, r, http.StatusBadRequest, signInContext{}, false, page.FaultSignInNotFinished, page.ReasonAnswerDamaged)
}

// finishSession finishes a sign-in at a provider.
func finishSession(ctx context.Context, method signin.ProviderMethod, d signin.ProviderRequest, answer url.Values) (signin.ProviderSignIn, error) {
	if keeping, ok := method.(signin.ProviderSessionMethod); ok {
		return keeping.FinishSession(ctx, d, answer)
	}
	u, err := method.Finish(ctx, d, answer)
	return signin.ProviderSignIn{User: u}, err
}

// providerKey returns the storage key of a provider's ID for a session or a user. The
// value there identifies the SSO sessions.
func providerKey(method, kind, name string) string {
	sum := sha256.Sum256([]byte(method + "\x00" + kind + "\x00" + name))
	return "provider:" + hex.EncodeToString(sum[:])
}

// storeProviderIDs stores which SSO session belongs to the provider's IDs, and
// returns the provider's data that the session itself stores.
func (h *Hosted) storeProviderIDs(r *http.Request, method signin.Method, a signin.ProviderSignIn) (session.ProviderSession, error) {
	ctx := r.Context()
	names := map[string]string{}
	if a.SessionID != "" {
		names[providerKey(method.ID(), "session", a.SessionID)] = a.User.Subject
	}
	if a.User.Linked != "" {
		names[providerKey(method.ID(), "user", a.User.ProviderID)] = a.User.Subject
	}
	for key, subject := range names {
		if err := h.Store.Put(ctx, key, []byte(subject), max(h.Lifetime, time.Minute)); err != nil {
			return session.ProviderSession{}, fmt.Errorf("noting what a provider calls a session: %w", err)
		}
	}
	up := session.ProviderSession{}
	if a.SessionID != "" {
		up.ID = providerKey(method.ID(), "session", a.SessionID) // which it may have written as it likes
	}
	renewing, ok := method.(signin.Renewer)
	if !ok {
		return up, nil
	}
	at, every := renewing.Renewal()
	if every <= 0 {
		return up, nil
	}
	if a.RefreshToken == "" {
		h.warn(h.noRefresh.Of(method.ID()), r, "the provider gave no refresh token, so that recheck does nothing for a session that begins now; most give one for the scope offline_access",
			zap.String("signin", method.ID()))
		return up, nil
	}
	sealed, err := h.Keys.Seal(ctx, background.RefreshLabel(method, at), []byte(a.RefreshToken))
	if err != nil {
		return session.ProviderSession{}, fmt.Errorf("sealing a refresh token of a provider: %w", err)
	}
	up.Refresh, up.Every = sealed, every
	return up, nil
}

// callbackTurn returns the user of an answer, for the limits.
func (h *Hosted) callbackTurn(r *http.Request, method signin.ProviderMethod, d signin.ProviderRequest, answer url.Values) (signin.ProviderSignIn, error) {
	leave, err := h.returning.Enter(r.Context(), method.ID()+" "+attemptlimit.Network(string(h.From(r))), limits.MaxPerAddress, limits.MaxWaitingPerAddress)
	if err != nil {
		return signin.ProviderSignIn{}, err
	}
	defer leave()
	return finishSession(r.Context(), method, d, answer)
}

// finishAtCallback ends a sign-in at a provider, whose answer is in the query of the
// callback.
func (h *Hosted) finishAtCallback(w http.ResponseWriter, r *http.Request, id string) {
	answer, err := httpapi.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.damaged(w, r)
		return
	}
	h.finish(w, r, id, answer)
}

// finish ends a sign-in at a provider, given its answer.
func (h *Hosted) finish(w http.ResponseWriter, r *http.Request, id string, answer url.Values) {
	o, b, p, ok := h.openState(w, r, answer)
	if !ok {
		return
	}
	if o.Method != id {
		h.startAgain(w, r, http.StatusBadRequest, p, o.Another, page.FaultSignInNotFinished, page.ReasonAnswerOtherMethod)
		return
	}
	if o.Browser != b.ID {
		// The state of another browser, or of a tab whose cookie another tab
		// replaced: the two cannot be told apart.
		h.startAgain(w, r, http.StatusBadRequest, p, o.Another, page.FaultSignInNotFinished, page.ReasonAnswerOtherBrowser)
		return
	}
	if o.expired(h.Now()) {
		h.startAgain(w, r, http.StatusBadRequest, p, o.Another, page.FaultSignInTooSlow, page.Text{})
		return
	}
	method, ok := h.method(w, r, id, p)
	if !ok {
		return
	}
	switch used, err := h.used(r.Context(), o.transaction); {
	case err != nil:
		h.failedFor(w, r, p, err)
		return
	case used:
		h.finishedBefore(w, r, p)
		return
	}
	from, err := h.callbackTurn(r, method, h.providerRequest(o), answer)
	if err != nil {
		h.providerFailed(w, r, method, p, err)
		return
	}
	h.accept(w, r, o, b, method, p, from)
}

// accept signs in a user who came back from a provider, if the context of the sign-in
// accepts this user.
func (h *Hosted) accept(w http.ResponseWriter, r *http.Request, o providerFlow, b knownDevice, method signin.ProviderMethod, p signInContext, from signin.ProviderSignIn) {
	user, err := h.Methods.Whose(from.User, method)
	if err != nil {
		h.providerFailed(w, r, method, p, err)
		return
	}
	from.User = user
	if refusal := h.admit(r, user, p.client()); refusal != nil {
		h.notAdmitted(w, r, b, method, p, user)
		return
	}
	if _, may := h.Methods.Current(user); !may { // the method was removed while its provider answered
		h.Pages.Message(w, r, http.StatusNotFound, page.NoCustomer())
		return
	}
	if p.authorization != nil && !p.authorization.AcceptsUser(user) {
		h.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, User: user, Client: p.client(), From: h.From(r), Why: "the account does not count for this request"})
		h.methodRefused(w, r, b, method, p, user)
		return
	}
	in, signedIn, done := h.signedIn(w, r, p)
	if done {
		return
	}
	if signedIn && !o.Asked && in.User.Subject != user.Subject && in.User.Subject != h.Methods.OtherSubject(user) {
		// Any site can send a browser to a provider, and a provider can answer
		// without asking anybody: that replaces no session.
		h.anotherUser(w, r, b, method, p, in.User, user)
		return
	}
	if refusal := h.Server.CountSignIn(user, p.client(), h.From(r)); refusal != nil {
		h.message(w, r, http.StatusTooManyRequests, p, page.Message{
			Code: "002-057", Fault: page.FaultTooManySignIns, RetryAfter: refusal.RetryAfter,
		})
		return
	}
	first, err := h.useOnce(r.Context(), o.transaction)
	if err != nil {
		h.failedFor(w, r, p, err)
		return
	}
	if !first {
		h.finishedBefore(w, r, p)
		return
	}
	h.finishOnPage(w, r, FirstFactor{
		User: user, Authorization: p.authorization, device: b, context: p, provider: &providerFactor{method, from},
	})
}

// openState opens the state of an answer and finds the context of the sign-in. If that
// fails, it answers the request itself.
func (h *Hosted) openState(w http.ResponseWriter, r *http.Request, answer url.Values) (o providerFlow, b knownDevice, p signInContext, ok bool) {
	state := answer.Get("state")
	plain, err := []byte(nil), keys.ErrSealed
	if len(state) <= maxState && len(answer["state"]) == 1 {
		plain, err = h.Keys.Unseal(r.Context(), providerFlowLabel, state)
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
		h.startAgain(w, r, http.StatusBadRequest, signInContext{}, false, page.FaultSignInNotFinished, page.ReasonAnswerUnknown)
		return o, b, p, false
	}
	b, p, ok = h.resumeTransaction(w, r, o.transaction)
	return o, b, p, ok
}

// used reports whether a transaction was used: only once decides.
func (h *Hosted) used(ctx context.Context, t transaction) (bool, error) {
	_, used, err := h.Store.Get(ctx, t.key())
	if err != nil {
		return false, fmt.Errorf("looking up a transaction: %w", err)
	}
	return used, nil
}

func (h *Hosted) finishedBefore(w http.ResponseWriter, r *http.Request, p signInContext) {
	h.message(w, r, http.StatusConflict, p, page.Message{
		Fault: page.FaultSignInUsed, Link: &page.Link{Label: page.LinkGoOn, URL: h.continueURL(p)},
	})
}
