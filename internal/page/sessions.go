package page

import (
	"net/http"
	"time"
)

// Sessions is the page of where somebody is signed in, each with a button that
// signs out there, and of the applications that may act for them while they are
// away, each with a button that ends that.
type Sessions struct {
	Person Person
	List   []OpenSession   // this browser's first
	Access []LastingAccess // may be empty

	// Allowed are the applications that the user has allowed what they asked for; may be
	// empty.
	Allowed []AllowedApp

	// The buttons of the form are named "end", with the ID of a session, or
	// "others", as their value, "access", with the ID of an access, and "withdraw",
	// with the ID of an application.
	Form Form

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
	Device Device
	From   string // an address; may be empty
	Begun  time.Time
	Seen   time.Time
	Here   bool // it is this browser
	Seat   bool // it takes one of the application's seats
}

// A LastingAccess is what an application was given that outlives the sign-in.
type LastingAccess struct {
	ID    string
	App   string
	Gone  bool // there is no such application any more, and App is its ID
	Begun time.Time
	Used  time.Time // zero: it is not known
	Here  bool      // it was given in this browser's session
}

// An AllowedApp is an application that the user has allowed what it asked for.
type AllowedApp struct {
	ID     string
	App    string
	Scopes []Scope
	Since  time.Time // the last time
}

// Others says whether there is anything to sign out of but this browser.
func (v Sessions) Others() bool {
	return len(v.List) > 1 || len(v.Access) > 0 || len(v.Allowed) > 0
}

// Sessions writes the page of one's sessions.
func (p *Pages) Sessions(w http.ResponseWriter, r *http.Request, v Sessions) {
	s := sheet{
		template: "sessions",
		status:   http.StatusOK,
		titles:   []Text{{key: "sessions.title"}},
		scripts:  []string{"sessions.js"},
		view:     v,
		policy:   policy{form: true, opener: cutsOpener},
	}
	if v.Full {
		s.status, s.titles, s.app = http.StatusForbidden, []Text{{key: "sessions.no_seat"}}, v.App
	}
	p.write(w, r, s)
}
