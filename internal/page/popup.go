package page

import (
	"cmp"
	"fmt"
	"net/http"
)

// An Opener is the window that opened a popup flow, where that is a page of the
// application. It is told, with the names that widgets of the Login API use,
//
//	{type: "@xsolla-login/sdk:open", params: {state: State}}
//	{type: "@xsolla-login/sdk:close", params: {state: State}}
//	{type: "@xsolla-login/sdk:login:error", error: {code, description}, params: {state: State}}
type Opener struct {
	// Origin is the exact origin that is told, that of the registered redirect
	// URI. Empty tells nobody.
	Origin string

	State string
}

// told is an opener, and what it is told.
type told struct {
	Opener
	Problem *Problem
}

// Widget ends a popup flow: it tells the window that opened it, then goes to
// the application's callback. The message is
//
//	{type: "@xsolla-login/sdk:login:success", params: {state: State}}
type Widget struct {
	App      string
	Callback string // with code and state

	// Origin is the exact origin that is told, that of the registered redirect
	// URI. Empty tells nobody.
	Origin string

	State string

	// UsedURL, where there is one, has the callback handed to the opener, and the
	// window closed, instead of following it. The message is
	//
	//	{type: "@xsolla-login/sdk:babka-login", loginUri: Callback, params: {state: State}}
	//
	// A browser says of no message whether it arrived, and it does not where the
	// opener went elsewhere meanwhile. So the window closes once the callback's
	// code was redeemed, and before long has the way on, too. UsedURL is what it
	// asks: an absolute path that answers 204 when the code was redeemed, and 410
	// when it cannot be any more.
	//
	// Without an opener, the page says so and has the way on. Without an Origin,
	// the callback is followed after all.
	UsedURL string

	// Scopes are what the application was given.
	Scopes []Scope

	// Denied says that the user does not allow what the application asks for: the
	// opener is told that, as [Opener] has it, with DeniedCode, and Callback says so, too.
	// With Closes the window is closed instead of following it.
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

// PopupSignIn is the gate's page for sign-in in a window of its own. Its
// button opens PopupURL; the page waits for PopupDone to say so on Channel,
// then goes to ReturnURL. Without scripts the button leads to SignInURL.
type PopupSignIn struct {
	App       string
	SignInURL string // the ordinary redirect
	PopupURL  string // the flow that ends with PopupDone
	ReturnURL string // the page first asked for
	Channel   string // name of the BroadcastChannel
	Nonce     string // must be the same in PopupDone
	Status    int    // Default: 200
}

// PopupSignIn writes the page that opens a window to sign in.
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

// PopupDone is the end of what PopupSignIn began, in the window it opened. It
// sends, on Channel and to its opener if that is a page of the same origin,
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

// PopupDone writes the page that ends sign-in in a window.
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
