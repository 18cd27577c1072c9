package page

import (
	"net/http"
	"time"
)

// Sessions is the page with the user's sessions, each with a sign-out button, and
// with the applications that have access without a session, each with a button that
// ends the access.
type Sessions struct {
	Person Person
	List   []OpenSession   // this browser's first
	Access []LastingAccess // may be empty

	// Allowed are the applications with a remembered consent; may be empty.
	Allowed []AllowedApp

	// The buttons of the form are named "end", with the ID of a session or "others"
	// as value; "access", with the ID of an access; and "withdraw", with the ID of an
	// application.
	Form Form

	// App is the application that the page was opened for, Seats the number of
	// sessions that it allows. Full means that all are in use, and this browser has
	// none of them. All are empty if no application asked.
	App   string
	Seats int
	Full  bool

	ContinueURL string // to the application, or back to the account; may be empty
}

// An OpenSession is a session of the user.
type OpenSession struct {
	ID     string
	Device Device
	From   string // an address; may be empty
	Begun  time.Time
	Seen   time.Time
	Here   bool // the session of this browser
	Seat   bool // it takes one of the application's seats
}

// A LastingAccess is a persistent grant: the access of an application that outlives the session.
type LastingAccess struct {
	ID    string
	App   string
	Gone  bool // the application is not registered any more; App is its ID
	Begun time.Time
	Used  time.Time // zero: unknown
	Here  bool      // granted in this browser's session
}

// An AllowedApp is an application with a remembered consent.
type AllowedApp struct {
	ID     string
	App    string
	Scopes []Scope
	Since  time.Time // the last time
}

// Others reports whether there is a session or an access besides this browser's session.
func (v Sessions) Others() bool {
	return len(v.List) > 1 || len(v.Access) > 0 || len(v.Allowed) > 0
}

// Sessions writes the page with the user's sessions.
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
