package page

import (
	"net/http"
	"time"
)

// Sessions is the page of where somebody is signed in, each with a button that
// signs out there.
type Sessions struct {
	Person Person
	List   []OpenSession // this browser's first
	Form   Form          // its buttons are named "end", their value is an ID, or "others"

	// App is the application that the page was opened for, Seats how many
	// sessions it allows. Full says that all are in use and this browser has
	// none of them. All are empty where no application asked.
	App   string
	Seats int
	Full  bool

	ContinueURL string // to the application, or back to the account; may be empty
}

// An OpenSession is one place where somebody is signed in.
type OpenSession struct {
	ID     string
	Device string // in words, such as "Firefox on Linux"
	From   string // an address; may be empty
	Begun  time.Time
	Seen   time.Time
	Here   bool // it is this browser
	Seat   bool // it takes one of the application's seats
}

// Sessions writes the page of one's sessions.
func (p *Pages) Sessions(w http.ResponseWriter, v Sessions) {
	status, title := http.StatusOK, "Where you are signed in"
	if v.Full {
		status, title = http.StatusForbidden, forApp("No seat left", "for", v.App)
	}
	p.write(w, sheet{
		template: "sessions",
		status:   status,
		title:    title,
		scripts:  []string{"sessions.js"},
		view:     v,
		policy:   policy{form: true, opener: cutsOpener},
	})
}
