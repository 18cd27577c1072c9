package page

import "net/http"

// Application leads to an application that has a scheme of its own. That one
// opens beside the browser, where this page stays, with the link on it should
// the browser not have followed it.
type Application struct {
	App     string // may be empty
	URL     string
	Outcome Outcome
}

// An Outcome is what an application is about to hear. The zero value is a refusal.
type Outcome int

// The outcomes.
const (
	OutcomeRefused    Outcome = iota
	OutcomeSignedIn           // with a code or tokens
	OutcomeNotAllowed         // the user does not allow what it asks for
)

// Title is the heading of a page.
func (o Outcome) Title() Text {
	switch o {
	case OutcomeSignedIn:
		return DoneSignedIn
	case OutcomeNotAllowed:
		return DoneNotAllowed
	default:
		return doneNotSignedIn
	}
}

// SignedIn says that the application hears of a sign-in.
func (v Application) SignedIn() bool { return v.Outcome == OutcomeSignedIn }

// Application writes the page that leads to an application.
func (p *Pages) Application(w http.ResponseWriter, r *http.Request, v Application) {
	p.write(w, r, sheet{
		template: "application",
		status:   http.StatusOK,
		titles:   []Text{v.Outcome.Title()},
		app:      v.App,
		leadsTo:  v.URL,
		view:     v,
	})
}
