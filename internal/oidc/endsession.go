package oidc

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

var endSessionParams = []string{hintParam, sealedHintParam, "client_id", "post_logout_redirect_uri", "state"}

// endSession answers /oauth2/end_session (OpenID Connect RP-Initiated Logout 1.0). It
// signs out at once only if the hint names the session of this browser, which no
// other site can do, and a browser navigates here. Otherwise the hosted page asks.
func (a *API) endSession(w http.ResponseWriter, r *http.Request) {
	if _, there := a.Cookie.Value(r); !there && byProgram(r) {
		nothingEnded(w)
		return
	}
	if !a.navigated(w, r) {
		return
	}
	p, refusal := parseParams(r.URL.RawQuery, endSessionParams)
	var client *oauth.Client
	var hint *oauth.Hint
	if refusal == nil {
		client, hint, refusal = a.signOutClient(r, p)
	}
	if refusal != nil {
		a.showRefusal(w, r, refusal)
		return
	}
	ask, back := url.Values{}, ""
	if requested := p["post_logout_redirect_uri"]; requested != "" {
		registered := false
		if client != nil {
			back, registered = client.AfterSignOut(requested, p["state"])
		}
		if !registered {
			a.Pages.Message(w, r, http.StatusBadRequest, page.Message{
				Fault: page.FaultSignOutUnregistered, Link: &page.Link{Label: page.LinkSignOut, URL: a.SignOutPage(nil)},
			})
			return
		}
		ask = url.Values{"client_id": {client.ID}, "post_logout_redirect_uri": {requested}}
		if p["state"] != "" {
			ask.Set("state", p["state"])
		}
	}
	cookie, _ := a.Cookie.Value(r)
	sess, err := a.Server.Sessions.Check(r.Context(), cookie)
	switch {
	case errors.Is(err, session.ErrNone) && byProgram(r):
		nothingEnded(w)
		return
	case errors.Is(err, session.ErrNone):
	case err != nil:
		a.showRefusal(w, r, oauth.Unavailable(err))
		return
	case hint == nil || !hint.Names(sess) || httpapi.Prefetches(r.Header): // a page of the client may have prefetched its link
		httpapi.Redirect(w, http.StatusFound, a.SignOutPage(ask))
		return
	default:
		if err := a.Server.SignOut(r.Context(), cookie, a.From(r)); err != nil {
			a.showRefusal(w, r, oauth.Unavailable(err))
			return
		}
		a.Cookie.Clear(w)
	}
	if back == "" {
		back = a.SignOutPage(nil) // it says that there is no session
	}
	httpapi.Redirect(w, http.StatusFound, back)
}

// byProgram reports whether a program made the request, such as the server of an
// application, and not a browser that shows pages.
func byProgram(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "" && r.Header.Get("Origin") == "" && !httpapi.AcceptsHTML(r.Header)
}

// nothingEnded tells a program that no session was ended. The session belongs to a
// browser, and a redirect would look as if the sign-out had succeeded.
func nothingEnded(w http.ResponseWriter) {
	httpapi.WriteJSON(w, http.StatusBadRequest, errorBody{
		"invalid_request",
		"No session was ended: only the browser of the user can do that here, with its cookie. Redirect it to this address. The tokens of the client end at the revocation_endpoint.",
	})
}

// signOutClient finds the client that asks. A hint that we did not issue, or that
// names another client, is ignored.
func (a *API) signOutClient(r *http.Request, p params) (*oauth.Client, *oauth.Hint, *oauth.Error) {
	client, known := a.Server.Clients.Get(p["client_id"])
	if !known || client.Disabled {
		client = nil
	}
	token, refusal := p[hintParam], (*oauth.Error)(nil)
	if p[sealedHintParam] != "" {
		token, refusal = a.unsealHint(r, p[sealedHintParam])
	}
	if refusal != nil || token == "" {
		return client, nil, refusal
	}
	hint, refusal := a.Server.IDTokenHint(r.Context(), token)
	switch {
	case refusal != nil && refusal.Kind != oauth.InvalidToken:
		return nil, nil, refusal
	case refusal != nil:
		return client, nil, nil
	case p["client_id"] == "":
		return hint.Client, hint, nil
	case client != hint.Client:
		return nil, nil, nil
	}
	return client, hint, nil
}
