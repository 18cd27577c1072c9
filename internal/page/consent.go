package page

import "net/http"

// Consent asks the user to allow an application's request. Its form posts the fields
// "transaction" and "decision", which is "allow" or "deny".
type Consent struct {
	App    string
	Person Person

	// Scopes are the scopes of the request. New ones are emphasized.
	Scopes []Scope

	// Site is the host of the website that gets the answer. Empty: an application
	// beside the browser.
	Site string

	Form      Form
	SwitchURL string   // to sign in with another account
	Problem   *Problem // the fault of the last answer

	// Remembered means that the answer is remembered, and that the user can withdraw it.
	Remembered bool

	WidgetOnly bool   // leaves out the brand
	Opener     Opener // is notified when the page opens or closes
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
		s.titles = append([]Text{v.Problem.Fault.part("title")}, s.titles...) // a screen reader reads it first
	}
	p.write(w, r, s)
}
