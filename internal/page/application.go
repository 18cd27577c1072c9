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
func (o Outcome) Title() string {
	switch o {
	case OutcomeSignedIn:
		return "You’re signed in"
	case OutcomeNotAllowed:
		return "You did not allow it"
	default:
		return "You’re not signed in"
	}
}

// SignedIn says that the application hears of a sign-in.
func (v Application) SignedIn() bool { return v.Outcome == OutcomeSignedIn }

// Application writes the page that leads to an application.
func (p *Pages) Application(w http.ResponseWriter, v Application) {
	title := v.Outcome.Title()
	if v.App != "" {
		title += " · " + v.App
	}
	p.write(w, sheet{
		template: "application",
		status:   http.StatusOK,
		title:    title,
		leadsTo:  v.URL,
		view:     v,
	})
}
