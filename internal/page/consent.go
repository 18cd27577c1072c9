package page

import "net/http"

// Consent asks whether an application may have what it asks for. Its form posts the
// fields "transaction" and "decision", which is "allow" or "deny".
type Consent struct {
	App    string
	Person Person

	// Scopes are all that the application asks for. Those that are New stand out.
	Scopes []Scope

	// Site is where the answer goes: the host of a website; empty: an application
	// beside the browser.
	Site string

	Form      Form
	SwitchURL string   // to sign in with another account
	Problem   *Problem // why the page shows again

	// Remembered says that the user is not asked again, and can withdraw it.
	Remembered bool

	WidgetOnly bool   // leaves out the brand
	Opener     Opener // is told that the page is open or closed
}

// The decisions that the form posts.
const (
	DecisionAllow = "allow"
	DecisionDeny  = "deny"
)

// Consent writes the consent page.
func (p *Pages) Consent(w http.ResponseWriter, r *http.Request, status int, v Consent) {
	s := sheet{
		template: "consent",
		status:   status,
		titles:   []Text{{"consent.title", args{"App": v.App}}},
		bare:     v.WidgetOnly,
		view:     v,
		policy:   policy{form: true},
		opener:   told{Opener: v.Opener},
	}
	if v.Problem != nil {
		s.titles = append([]Text{v.Problem.Fault.part("title")}, s.titles...) // what a screen reader says first
	}
	p.write(w, r, s)
}
