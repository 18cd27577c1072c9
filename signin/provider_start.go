package signin

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// Provider says whether a sign-in for a request may go by the way with an ID,
// which leads to a provider elsewhere.
func (h *Hosted) Provider(a *oauth.Authorization, id string) bool {
	return h.Methods.provider(id, a.Methods) != nil
}

// IsProvider says whether the method with an ID leads to a provider, whatever it is
// allowed for.
func (ws Methods) IsProvider(id string) bool { return ws.provider(id, nil) != nil }

// provider returns the method with an ID if it leads to a provider and is allowed, nil
// otherwise.
func (ws Methods) provider(id string, allowed []string) ProviderMethod {
	method, ok := ws.find(id).(ProviderMethod)
	if !ok || !allows(allowed, method) {
		return nil
	}
	return method
}

// StartAtProvider returns where at a provider the browser goes to sign in for a request of
// the Login API, whose query is rawQuery. It may set the browser's cookie, which
// the answer of the provider is bound to.
func (h *Hosted) StartAtProvider(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, rawQuery, id string) (string, *oauth.Error) {
	p := signInContext{page: SignInPath, query: rawQuery, authorization: a}
	method := h.Methods.provider(id, p.allowed())
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
	down := (*DownError)(nil)
	switch {
	case err == nil:
		return to, nil
	case errors.Is(err, errStateTooLong):
		return "", &oauth.Error{Kind: oauth.InvalidRequest, Description: "The parameters are too long to take along to the provider."}
	case errors.As(err, &down):
		h.warnOf(&h.notBegun, id, err, r, "a sign-in at a provider was not begun", zap.String("signin", id))
		h.Server.Audit.Record(oauth.Event{What: oauth.SignInFailed, Client: a.Client, From: h.From(r), Why: id, Said: err.Error()})
		if errors.Is(err, ErrMisconfigured) {
			return "", &oauth.Error{Kind: oauth.Misconfigured, Description: "Project misconfigured: the provider is another than its settings say.", Cause: err}
		}
		return "", &oauth.Error{Kind: oauth.ProviderFailed, Description: "The provider does not answer.", RetryAfter: down.RetryAfter, Cause: err}
	}
	return "", failure(err)
}
