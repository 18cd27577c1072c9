package portal

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

// showAccount shows the signed-in user.
func (h *Hosted) showAccount(w http.ResponseWriter, r *http.Request) {
	in, ok, done := h.signedIn(w, r, signInContext{})
	if done {
		return
	}
	if !ok {
		httpapi.Redirect(w, http.StatusSeeOther, SignInPath)
		return
	}
	h.already(w, r, in, signInContext{})
}

// showSignOut asks whether to sign out. Only the form signs out.
func (h *Hosted) showSignOut(w http.ResponseWriter, r *http.Request) {
	in, ok, done := h.signedIn(w, r, signInContext{})
	if done {
		return
	}
	if !ok {
		h.signedOut(w, r)
		return
	}
	action := SignOutPath
	if query := r.URL.Query().Encode(); query != "" {
		action += "?" + query
	}
	h.Pages.SignOut(w, r, page.SignOut{
		Person: *person(in.User), Form: page.Form{Action: action}, CancelURL: AccountPath,
	})
}

// signOut ends the session of the browser.
func (h *Hosted) signOut(w http.ResponseWriter, r *http.Request) {
	if cookie, there := h.Session.Value(r); there {
		if err := h.Server.SignOut(r.Context(), cookie, h.From(r)); err != nil {
			h.failed(w, r, err)
			return
		}
	}
	h.Session.Clear(w)
	h.signedOut(w, r)
}

// signedOut ends a sign-out. It redirects to the address that the application gave,
// if there is one. A gate gives its client and redirect URI, so that a user who signs
// in again comes back to its site.
func (h *Hosted) signedOut(w http.ResponseWriter, r *http.Request) {
	v := page.SignedOut{SignInURL: SignInPath}
	q := r.URL.Query()
	if client, known := h.Server.Clients.Get(q.Get("client_id")); known {
		if uri, registered := client.AfterSignOut(q.Get("post_logout_redirect_uri"), q.Get("state")); registered {
			h.Pages.Continue(w, r, page.Continue{Title: page.DoneSignedOut, App: client.Name, URL: uri})
			return
		}
		requested := q.Get("redirect_uri")
		if uri, registered := client.RedirectURI(requested); registered && uri.OriginOfRequested(requested) != "" {
			v.App, v.SignInURL = client.Name, uri.OriginOfRequested(requested)+"/"
		}
	}
	h.Pages.SignedOut(w, r, v)
}
