package page

import "net/http"

// Application leads to an application with a custom URI scheme. The application opens
// beside the browser, and this page stays. It has the link, in case the browser did
// not follow it.
type Application struct {
	App     string // may be empty
	URL     string
	Outcome Outcome
}

// An Outcome is the result that an application gets. The zero value is a refusal.
type Outcome int

// The outcomes.
const (
	OutcomeRefused    Outcome = iota
	OutcomeSignedIn           // with a code or tokens
	OutcomeNotAllowed         // the user denied the request
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

// SignedIn reports whether the result is a sign-in.
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
