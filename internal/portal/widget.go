package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

const (
	widgetLabel    = "widget"
	widgetLifetime = 5 * time.Minute
)

// widget is the sealed content of the widget page's address. So no client can make
// the portal redirect to a callback that the portal did not issue.
type widget struct {
	App              string `json:"a"`
	Client           string `json:"i,omitempty"` // by its ID
	Code             string `json:"c"`           // empty: the user does not allow what was asked for
	Origin           string `json:"o,omitempty"` // of the registered redirect URI
	PostMessageLogin bool   `json:"p,omitempty"`
	WidgetOnly       bool   `json:"b,omitempty"`
	Expires          int64  `json:"e"`

	// The parts of the callback. They are bytes, which JSON makes longer by a third,
	// whatever they contain. So every valid request can be sealed.
	RedirectURI []byte `json:"r"`
	State       []byte `json:"s"`
	Scopes      []byte `json:"g,omitempty"` // that were granted, with spaces between
}

// Widget returns the address of the page that ends a popup: the page informs its
// opener and then follows the callback with the code. Without a code, both learn that
// the user denied the request.
func (h *Hosted) Widget(ctx context.Context, a *oauth.Authorization, code string) (string, error) {
	plain, err := json.Marshal(widget{
		App:              a.Client.Name,
		Client:           a.Client.ID,
		Code:             code,
		Origin:           a.Redirect.OriginOfRequested(a.RedirectURI),
		PostMessageLogin: a.Presentation.PostMessageLogin,
		WidgetOnly:       a.Presentation.WidgetOnly,
		Expires:          h.Now().Add(widgetLifetime).Unix(),
		RedirectURI:      []byte(a.RedirectURI),
		State:            []byte(a.State),
		Scopes:           []byte(strings.Join(a.Scopes, " ")),
	})
	if err != nil {
		return "", fmt.Errorf("sealing a widget: %w", err)
	}
	sealed, err := h.Keys.Seal(ctx, widgetLabel, plain)
	if err != nil {
		return "", fmt.Errorf("sealing a widget: %w", err)
	}
	return h.Server.Issuer + WidgetPath + "?w=" + url.QueryEscape(sealed), nil
}

// usedParam asks, of a widget page, whether its code was redeemed.
const usedParam = "used"

func (h *Hosted) showWidget(w http.ResponseWriter, r *http.Request) {
	var v widget
	query := r.URL.Query()
	sealed := query.Get("w")
	plain, err := h.Keys.Unseal(r.Context(), widgetLabel, sealed)
	if err != nil && !errors.Is(err, keys.ErrSealed) {
		h.failed(w, r, err)
		return
	}
	if err == nil {
		err = json.Unmarshal(plain, &v)
	}
	if err != nil || h.Now().Unix() > v.Expires {
		h.Pages.Message(w, r, http.StatusBadRequest, page.Message{
			Fault:      page.FaultWidgetExpired,
			Opener:     page.Opener{Origin: v.Origin, State: string(v.State)},
			Code:       "0",
			WidgetOnly: v.WidgetOnly,
		})
		return
	}
	if query.Has(usedParam) {
		h.widgetUsed(w, r, v.Code)
		return
	}
	a := oauth.Authorization{RedirectURI: string(v.RedirectURI), State: string(v.State)}
	view := page.Widget{App: v.App, Callback: a.Callback(v.Code), Origin: v.Origin, State: a.State, WidgetOnly: v.WidgetOnly}
	switch client, known := h.Server.Clients.Get(v.Client); {
	case v.Code == "":
		view.Callback, view.Closes = a.DeniedCallback(), v.PostMessageLogin
		view.Denied, view.DeniedCode = page.DoneNotAllowed, "010-026"
		h.Pages.Widget(w, r, view)
		return
	case known:
		view.Scopes = scopesOf(client, oauth.SplitList(string(v.Scopes)))
	}
	if v.PostMessageLogin {
		view.UsedURL = WidgetPath + "?" + usedParam + "=1&w=" + url.QueryEscape(sealed)
	}
	h.Pages.Widget(w, r, view)
}

// widgetUsed answers the state of a code, and does not change it: 204, it was
// redeemed; 202, it can be redeemed; 410, it cannot be redeemed any more.
func (h *Hosted) widgetUsed(w http.ResponseWriter, r *http.Request, code string) {
	errLive := errors.New("the code can be redeemed")
	_, err := h.Server.Codes.Redeem(r.Context(), code, func(*codes.Record) error { return errLive })
	spent := (*codes.SpentError)(nil)
	status := http.StatusNoContent
	switch {
	case errors.As(err, &spent):
	case errors.Is(err, errLive):
		status = http.StatusAccepted
	case errors.Is(err, codes.ErrUnknown):
		status = http.StatusGone
	default:
		h.failed(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
}

// opener returns the window that learns the result of a sign-in in a popup.
func (p signInContext) opener() page.Opener {
	if p.authorization == nil || !p.authorization.Presentation.Popup {
		return page.Opener{}
	}
	return page.Opener{Origin: p.authorization.Redirect.OriginOfRequested(p.authorization.RedirectURI), State: p.authorization.State}
}

func (p signInContext) widgetOnly() bool {
	return p.authorization != nil && p.authorization.Presentation.WidgetOnly
}
