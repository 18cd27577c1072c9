package page

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Message is any other end: an expired transaction, blocked cookies, a failed
// callback, a store that does not answer.
type Message struct {
	App    string // in the title; may be empty
	Fault  Fault
	Reason Text  // what happened, in place of the fault's own text
	Next   Text  // what to do about it, in place of the fault's own
	Link   *Link // the way on, as a button; may be nil
	Other  *Link // another way on, as a quiet button; may be nil

	// Reference is what to quote to the people who run the site, such as a
	// request ID; may be empty. It is for them, and in no other language than English.
	Reference string

	// RetryAfter is also sent as a header.
	RetryAfter time.Duration

	// Retry has the page try again by itself, with a button for whoever does not
	// want to wait; nil: it stays. It says so in place of RetryAfter.
	Retry *Retry

	WidgetOnly bool   // leaves out the brand
	Opener     Opener // is told what happened, and that the page is closed
	Code       string // what the Login API calls it; for the Opener
}

// A Retry is where trying again leads, always by GET, so that no form is sent a
// second time.
type Retry struct {
	// URL is empty for the address that the browser has asked for: that is loaded
	// again, with the fragment that no server sees.
	URL string
}

// RetryOf tries the address of a request again.
func RetryOf(r *http.Request) *Retry {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return &Retry{}
	}
	return &Retry{URL: r.URL.RequestURI()}
}

// Message writes a page that says what happened and what to do next.
func (p *Pages) Message(w http.ResponseWriter, r *http.Request, status int, v Message) {
	// A few seconds late, and not in all browsers at once.
	after := seconds(v.RetryAfter + 3*time.Second + rand.N(5*time.Second)) //nolint:gosec // nothing hangs on the number
	s := v.sheet(status)
	s.view = messageView{v, v.Retry != nil || status >= http.StatusInternalServerError, after}
	retryAfter(w, v.RetryAfter)
	switch {
	case v.Retry == nil:
	case v.Retry.URL == "":
		// Where its address has a fragment a browser would not load that again: there a
		// script does, a little earlier.
		w.Header().Set("Refresh", strconv.Itoa(after+2))
	default:
		// Not in a header, which access logs have: the address may have secrets. This is
		// for browsers without scripts.
		s.leadsTo, s.after = v.Retry.URL, after
	}
	p.write(w, r, s)
}

// NotFound writes the page for an address of the portal at which there is
// nothing. code is what the API calls that whose address it would be; it may be
// empty.
func (p *Pages) NotFound(w http.ResponseWriter, r *http.Request, code string) {
	p.Message(w, r, http.StatusNotFound, Message{
		Fault:     faultNotFound,
		Link:      &Link{Label: linkAccount, URL: "/sso/account"},
		Reference: code,
	})
}

// messageView adds whether it is this site that failed, which looks graver than
// what the person can put right, and when the page tries again, in seconds.
type messageView struct {
	Message
	Failed bool
	After  int
}

func (v Message) sheet(status int) sheet {
	s := sheet{
		template: "message",
		status:   status,
		titles:   []Text{v.Fault.part("title")},
		app:      v.App,
		bare:     v.WidgetOnly,
		view:     messageView{v, status >= http.StatusInternalServerError, 0},
		opener:   told{v.Opener, &Problem{Fault: v.Fault, Code: v.Code}},
	}
	if v.Retry != nil {
		s.scripts = []string{"retry.js"}
	}
	return s
}
