package page

import "net/http"

// Account is the page of a signed-in user.
type Account struct {
	Person      Person
	App         string // where ContinueURL leads; may be empty
	ContinueURL string // may be empty
	SwitchURL   string // to sign in with another account; may be empty
	SessionsURL string // the page with all sessions of the user; may be empty
	SignOut     Form

	WidgetOnly bool   // leaves out the brand
	Opener     Opener // is notified when the page opens or closes
}

// Account writes the account page.
func (p *Pages) Account(w http.ResponseWriter, r *http.Request, v Account) {
	p.write(w, r, sheet{
		template: "account",
		status:   http.StatusOK,
		titles:   []Text{{key: "account.title"}},
		scripts:  []string{"signin.js"},
		bare:     v.WidgetOnly,
		view:     v,
		policy:   policy{form: true},
		opener:   told{Opener: v.Opener},
	})
}

// SignOut asks whether to sign out. Only the form's POST signs out, so no link or
// image on another site can do so.
type SignOut struct {
	Person    Person // the zero value: unknown
	App       string // which application asks; may be empty
	Form      Form
	CancelURL string // may be empty
}

// SignOut writes the page that asks whether to sign out.
func (p *Pages) SignOut(w http.ResponseWriter, r *http.Request, v SignOut) {
	p.write(w, r, sheet{
		template: "signout",
		status:   http.StatusOK,
		titles:   []Text{{key: "sign_out.title"}},
		app:      v.App,
		scripts:  []string{"signin.js"},
		view:     v,
		policy:   policy{form: true, opener: cutsOpener},
	})
}

// SignedOut is the page after a sign-out.
type SignedOut struct {
	App       string
	SignInURL string // to sign in again; may be empty
}

// SignedOut writes the page after a sign-out.
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request, v SignedOut) {
	p.write(w, r, sheet{
		template: "signedout",
		status:   http.StatusOK,
		titles:   []Text{{key: "signed_out.title"}},
		app:      v.App,
		view:     v,
		policy:   policy{opener: cutsOpener},
	})
}

// Denied tells a signed-in user that they may not use an application.
type Denied struct {
	Person    Person
	App       string
	Reason    Text   // why; may be empty
	SwitchURL string // to sign in with another account; may be empty
	SignOut   Form   // without an action there is no button
}

// Denied writes the page of a refused request, with status 403.
func (p *Pages) Denied(w http.ResponseWriter, r *http.Request, v Denied) {
	p.write(w, r, sheet{
		template: "denied",
		status:   http.StatusForbidden,
		titles:   []Text{{key: "denied.title"}},
		app:      v.App,
		scripts:  []string{"fragment.js", "signin.js"},
		view:     v,
		policy:   policy{form: true, opener: cutsOpener},
	})
}
