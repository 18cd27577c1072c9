package portal

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

func (h *Hosted) startAgain(w http.ResponseWriter, r *http.Request, status int, p signInContext, another bool, fault page.Fault, reason page.Text) {
	h.message(w, r, status, p, page.Message{
		Fault: fault, Reason: reason, Next: page.NextStartAtSignIn,
		Link: &page.Link{Label: page.LinkStartAgain, URL: p.address(another)},
	})
}

// refuse shows the refusal of an authorization request to a user. The application
// caused the error, so the page names whom to inform.
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

// signedIn checks the session of a request. If the store does not answer, it answers
// the request itself, and returns done.
func (h *Hosted) signedIn(w http.ResponseWriter, r *http.Request, p signInContext) (in oauth.SignedIn, ok, done bool) {
	cookie, there := h.Session.Value(r)
	if !there {
		return oauth.SignedIn{}, false, false
	}
	in, err := h.Server.SignedIn(r.Context(), cookie)
	if err == nil {
		return in, true, false
	}
	if errors.Is(err, session.ErrNone) {
		return oauth.SignedIn{}, false, false
	}
	h.failedFor(w, r, p, err)
	return oauth.SignedIn{}, false, true
}

// warn logs what unauthenticated requests can trigger, once a minute of each kind.
func (h *Hosted) warn(lines *logthrottle.Throttle, r *http.Request, text string, fields ...zap.Field) {
	if n := lines.Due(h.Now()); n > 0 {
		h.warning(n, r, text, fields...)
	}
}

// warnOf is warn for a failure of one method, once a minute of each reason.
func (h *Hosted) warnOf(kinds *logthrottle.ByKind, method string, err error, r *http.Request, text string, fields ...zap.Field) {
	if n := kinds.Due(method, err, h.Now()); n > 0 {
		h.warning(n, r, text, append(fields, zap.Error(err))...)
	}
}

func (h *Hosted) warning(requests int, r *http.Request, text string, fields ...zap.Field) {
	h.Log.Warn(text, append(fields, zap.String("from", string(h.From(r))), zap.Int("requests", requests))...)
}

// cannotOpen logs a sealed value of a sign-in that cannot be opened: it was forged,
// or sealed by a node with other keys.
func (h *Hosted) cannotOpen(r *http.Request) {
	h.warn(&h.notOpened, r, "what belongs to a sign-in cannot be opened: if people meet this, the nodes of this portal have different keys, and need the same storage",
		zap.String("setting", "storage"))
}

// Unavailable answers for a page that cannot work yet, because of err. It needs only
// the fields Pages and Log.
func (h *Hosted) Unavailable(w http.ResponseWriter, r *http.Request, err error) { h.failed(w, r, err) }

// NotFound answers a path below /sso/ that has no other handler. It needs only the
// field Pages.
func (h *Hosted) NotFound(w http.ResponseWriter, r *http.Request) { h.Pages.NotFound(w, r, "") }

// failed answers a failure of the server. It signs no user out.
func (h *Hosted) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.failedFor(w, r, signInContext{}, err)
}

// failedFor is failed in a known context. A sign-in that had begun starts again,
// since the answer of its provider may be used up.
func (h *Hosted) failedFor(w http.ResponseWriter, r *http.Request, p signInContext, err error) {
	h.Log.Error("answering a hosted page failed", zap.Error(err))
	retry := page.RetryOf(r)
	if p.page != "" && p.page != r.URL.Path && (p.request == nil || p.request.Consent != r.URL.Path) {
		retry = &page.Retry{URL: p.address(false)}
	}
	h.message(w, r, http.StatusServiceUnavailable, p, page.Message{
		Code:       "004-001",
		Fault:      page.FaultUnavailable,
		RetryAfter: time.Second,
		Retry:      retry,
	})
}

// message shows how a sign-in continues, or why it does not. In a popup the page
// informs its opener, too.
func (h *Hosted) message(w http.ResponseWriter, r *http.Request, status int, p signInContext, m page.Message) {
	m.App, m.Opener, m.WidgetOnly = p.app(), p.opener(), p.widgetOnly()
	m.Code = cmp.Or(m.Code, "0")
	h.Pages.Message(w, r, status, m)
}
