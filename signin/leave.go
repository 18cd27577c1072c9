package signin

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/oauth"
)

// Provider says whether a sign-in for a request may go by the way with an ID,
// which leads to a provider elsewhere.
func (h *Hosted) Provider(a *oauth.Authorization, id string) bool {
	return h.Ways.provider(purpose{authorization: a}, id) != nil
}

// Outside says whether a way to sign in is a provider elsewhere, whatever it counts
// for.
func (ws Ways) Outside(id string) bool { return ws.provider(purpose{}, id) != nil }

// provider is the way with an ID that leads to a provider for p, nil where there
// is none.
func (ws Ways) provider(p purpose, id string) Redirecting {
	way, ok := ws.find(id).(Redirecting)
	if !ok || !p.counts(way) {
		return nil
	}
	return way
}

// Leave returns where at a provider the browser goes to sign in for a request of
// the Login API, whose query is rawQuery. It may set the browser's cookie, which
// the answer of the provider is bound to.
func (h *Hosted) Leave(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, rawQuery, id string) (string, *oauth.Error) {
	p := purpose{page: SignInPath, query: rawQuery, authorization: a}
	way := h.Ways.provider(p, id)
	if way == nil {
		return "", &oauth.Error{Kind: oauth.UnknownProvider, Description: "Object not found: there is no such provider."}
	}
	b, there, err := h.browser(r)
	if err == nil && !there {
		b = newBrowser()
		err = h.setBrowser(r.Context(), w, b)
	}
	if err != nil {
		return "", failure(err)
	}
	to, err := h.start(r.Context(), b, way, p, false, false)
	down := (*DownError)(nil)
	switch {
	case err == nil:
		return to, nil
	case errors.Is(err, errStateTooLong):
		return "", &oauth.Error{Kind: oauth.InvalidRequest, Description: "The parameters are too long to take along to the provider."}
	case errors.As(err, &down):
		h.warnOf(&h.notBegun, id, err, r, "a sign-in at a provider was not begun", zap.String("signin", id))
		h.Server.Audit.Record(oauth.Event{What: oauth.SignInFailed, Client: a.Client, From: h.From(r), Why: id, Said: err.Error()})
		if errors.Is(err, errMisconfigured) {
			return "", &oauth.Error{Kind: oauth.Misconfigured, Description: "Project misconfigured: the provider is another than its settings say.", Cause: err}
		}
		return "", &oauth.Error{Kind: oauth.ProviderFailed, Description: "The provider does not answer.", RetryAfter: down.RetryAfter, Cause: err}
	}
	return "", failure(err)
}
