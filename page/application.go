package page

import "net/http"

// Application leads to an application that has a scheme of its own. That one
// opens beside the browser, where this page stays, with the link on it should
// the browser not have followed it.
type Application struct {
	App      string // may be empty
	URL      string
	SignedIn bool // what the application is about to hear; false is a refusal
}

// Title is the heading.
func (v Application) Title() string {
	if v.SignedIn {
		return "You’re signed in"
	}
	return "You’re not signed in"
}

// Application writes the page that leads to an application.
func (p *Pages) Application(w http.ResponseWriter, v Application) {
	title := v.Title()
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
