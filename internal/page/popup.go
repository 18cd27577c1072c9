package page

import (
	"cmp"
	"fmt"
	"net/http"
)

// An Opener is the window that opened a popup flow, if that is a page of the
// application. It gets these messages, with the names of the Login API's widgets:
//
//	{type: "@xsolla-login/sdk:open", params: {state: State}}
//	{type: "@xsolla-login/sdk:close", params: {state: State}}
//	{type: "@xsolla-login/sdk:login:error", error: {code, description}, params: {state: State}}
type Opener struct {
	// Origin is the exact origin that gets the messages: that of the registered
	// redirect URI. Empty: no messages.
	Origin string

	State string
}

// told is an opener, and the messages that it gets.
type told struct {
	Opener
	Problem *Problem
}

// Widget ends a popup flow: it notifies the opener, then navigates to the
// application's callback. The message is
//
//	{type: "@xsolla-login/sdk:login:success", params: {state: State}}
type Widget struct {
	App      string
	Callback string // with code and state

	// Origin is the exact origin that is told, that of the registered redirect
	// URI. Empty tells nobody.
	Origin string

	State string

	// With UsedURL the widget passes the callback to the opener and closes the
	// window, instead of following it. The message is
	//
	//	{type: "@xsolla-login/sdk:babka-login", loginUri: Callback, params: {state: State}}
	//
	// A browser does not report whether a message arrived, and it is lost if the
	// opener has navigated away. So the window closes only when the callback's code
	// was redeemed, and after some time shows a link to the callback, too. UsedURL is
	// an absolute path that the widget asks: it answers 204 if the code was redeemed,
	// and 410 if it cannot be redeemed any more.
	//
	// Without an opener, the page says so and shows the link. Without an Origin, the
	// widget follows the callback.
	UsedURL string

	// Scopes are the granted scopes.
	Scopes []Scope

	// Denied means that the user denied the request. The opener gets the error
	// message of [Opener] with DeniedCode, and Callback has the error, too. With
	// Closes the window closes instead of following the callback.
	Denied     Text
	DeniedCode string
	Closes     bool

	WidgetOnly bool // leaves out the brand
}

// Widget writes the page that ends a popup flow.
func (p *Pages) Widget(w http.ResponseWriter, r *http.Request, v Widget) {
	s := sheet{
		template: "widget",
		status:   http.StatusOK,
		titles:   []Text{{key: "widget.title"}},
		app:      v.App,
		scripts:  []string{"widget.js"},
		bare:     v.WidgetOnly,
		view:     v,
		policy:   policy{asks: v.UsedURL != ""},
	}
	if v.Denied.key != "" {
		s.titles = []Text{v.Denied}
	}
	if v.Origin != "" {
		if err := checkOrigin(v.Origin); err != nil {
			s.err = fmt.Errorf("widget origin %q: %w", v.Origin, err)
		}
	}
	p.write(w, r, s)
}

// PopupSignIn is the gate's page for a sign-in in a popup. Its button opens PopupURL.
// The page waits for the message of PopupDone on Channel, then navigates to
// ReturnURL. Without scripts the button leads to SignInURL.
type PopupSignIn struct {
	App       string
	SignInURL string // the ordinary redirect
	PopupURL  string // the flow that ends with PopupDone
	ReturnURL string // the page that the user first asked for
	Channel   string // name of the BroadcastChannel
	Nonce     string // must be the same in PopupDone
	Status    int    // Default: 200
}

// PopupSignIn writes the page that opens a popup for the sign-in.
func (p *Pages) PopupSignIn(w http.ResponseWriter, r *http.Request, v PopupSignIn) {
	p.write(w, r, sheet{
		template: "popupsignin",
		status:   cmp.Or(v.Status, http.StatusOK),
		titles:   []Text{{key: "popup.title"}},
		app:      v.App,
		scripts:  []string{"fragment.js", "popupsignin.js"},
		view:     v,
		policy:   policy{opener: opensPopups},
	})
}

// PopupDone ends a sign-in of PopupSignIn, in the popup. It sends, on Channel and to
// its opener if that is a page of the same origin,
//
//	{type: "caddy-sso:signed-in", nonce: Nonce}
//
// and closes the window.
type PopupDone struct {
	App       string
	Channel   string
	Nonce     string
	ReturnURL string // for a window that stays open; may be empty
}

// PopupDone writes the page that ends a sign-in in a popup.
func (p *Pages) PopupDone(w http.ResponseWriter, r *http.Request, v PopupDone) {
	p.write(w, r, sheet{
		template: "popupdone",
		status:   http.StatusOK,
		titles:   []Text{{key: "popup_done.title"}},
		app:      v.App,
		scripts:  []string{"popupdone.js"},
		view:     v,
	})
}
