package signin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/page"
)

const (
	widgetPurpose  = "widget"
	widgetLifetime = 5 * time.Minute
)

// widget is what the address of the widget page holds, sealed: nobody can make
// the portal lead to a callback that it did not give out itself.
type widget struct {
	App              string `json:"a"`
	Code             string `json:"c"`
	Origin           string `json:"o,omitempty"` // of the registered redirect URI
	PostMessageLogin bool   `json:"p,omitempty"`
	WidgetOnly       bool   `json:"b,omitempty"`
	Expires          int64  `json:"e"`

	// What the callback is made of. As bytes, of which JSON makes a third more
	// whatever they are, so that all that a request may carry can be sealed.
	RedirectURI []byte `json:"r"`
	State       []byte `json:"s"`
}

// Widget returns the address of the page that ends a popup: it tells its opener
// and then follows the callback with the code.
func (h *Hosted) Widget(ctx context.Context, a *oauth.Authorization, code string) (string, error) {
	plain, err := json.Marshal(widget{
		App:              a.Client.Name,
		Code:             code,
		Origin:           a.Redirect.Origin(),
		PostMessageLogin: a.Presentation.PostMessageLogin,
		WidgetOnly:       a.Presentation.WidgetOnly,
		Expires:          h.Now().Add(widgetLifetime).Unix(),
		RedirectURI:      []byte(a.RedirectURI),
		State:            []byte(a.State),
	})
	if err != nil {
		return "", fmt.Errorf("sealing a widget: %w", err)
	}
	sealed, err := h.Keys.Seal(ctx, widgetPurpose, plain)
	if err != nil {
		return "", fmt.Errorf("sealing a widget: %w", err)
	}
	return h.Server.Issuer + WidgetPath + "?w=" + url.QueryEscape(sealed), nil
}

func (h *Hosted) showWidget(w http.ResponseWriter, r *http.Request) {
	var v widget
	plain, err := h.Keys.Unseal(r.Context(), widgetPurpose, r.URL.Query().Get("w"))
	if err != nil && !errors.Is(err, keys.ErrSealed) {
		h.failed(w, err)
		return
	}
	if err == nil {
		err = json.Unmarshal(plain, &v)
	}
	if err != nil || h.Now().Unix() > v.Expires {
		h.Pages.Message(w, http.StatusBadRequest, page.Message{
			Title: "This window is too old",
			Text:  "Signing in was not finished in time.",
			Next:  "Close this window and sign in again from the application.",
		})
		return
	}
	a := oauth.Authorization{RedirectURI: string(v.RedirectURI), State: string(v.State)}
	h.Pages.Widget(w, page.Widget{
		App: v.App, Callback: a.Callback(v.Code), Origin: v.Origin, State: a.State,
		PostMessageLogin: v.PostMessageLogin, WidgetOnly: v.WidgetOnly,
	})
}

// opener is who is told what becomes of a sign-in in a window of its own.
func (p purpose) opener() page.Opener {
	if p.authorization == nil || !p.authorization.Presentation.Popup {
		return page.Opener{}
	}
	return page.Opener{Origin: p.authorization.Redirect.Origin(), State: p.authorization.State}
}

func (p purpose) widgetOnly() bool {
	return p.authorization != nil && p.authorization.Presentation.WidgetOnly
}

// message says how a sign-in goes on, or why it does not; in a window of its
// own its opener hears of it, too.
func (h *Hosted) message(w http.ResponseWriter, status int, p purpose, m page.Message) {
	m.App, m.Opener, m.WidgetOnly = p.app(), p.opener(), p.widgetOnly()
	m.Code = cmp.Or(m.Code, "0")
	h.Pages.Message(w, status, m)
}
