package signin

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/page"
)

// showAccount says who is signed in.
func (h *Hosted) showAccount(w http.ResponseWriter, r *http.Request) {
	in, ok, done := h.signedIn(w, r)
	if done {
		return
	}
	if !ok {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", SignInPath)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	h.already(w, r, in, purpose{})
}

// showSignOut asks whether to sign out; only the form does it.
func (h *Hosted) showSignOut(w http.ResponseWriter, r *http.Request) {
	in, ok, done := h.signedIn(w, r)
	if done {
		return
	}
	if !ok {
		h.Pages.SignedOut(w, page.SignedOut{SignInURL: SignInPath})
		return
	}
	h.Pages.SignOut(w, page.SignOut{
		Person: *person(in.User), Form: page.Form{Action: SignOutPath}, CancelURL: AccountPath,
	})
}

// signOut ends the session of the browser.
func (h *Hosted) signOut(w http.ResponseWriter, r *http.Request) {
	in, ok, done := h.signedIn(w, r)
	if done {
		return
	}
	if ok {
		if err := h.Server.EndSession(r.Context(), in, h.From(r)); err != nil {
			h.failed(w, err)
			return
		}
	}
	h.Session.Clear(w)
	h.Pages.SignedOut(w, page.SignedOut{SignInURL: SignInPath})
}
