package page

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Message is the page for all other cases: an expired transaction, blocked cookies, a
// failed callback, a store that does not answer.
type Message struct {
	App    string // in the title; may be empty
	Fault  Fault
	Reason Text  // what happened, in place of the fault's own text
	Next   Text  // what to do about it, in place of the fault's own
	Link   *Link // the main link, shown as a button; may be nil
	Other  *Link // a second link, shown as a quiet button; may be nil

	// Reference is what to quote to the people who run the site, such as a
	// request ID; may be empty. It is for them, and in no other language than English.
	Reference string

	// RetryAfter is also sent as a header.
	RetryAfter time.Duration

	// Retry makes the page load again by itself, with a button for users who do not
	// want to wait. Nil: the page stays.
	Retry *Retry

	WidgetOnly bool   // leaves out the brand
	Opener     Opener // is notified of the fault, and when the page closes
	Code       string // what the Login API calls it; for the Opener
}

// A Retry is the URL of the next attempt. It is always loaded by GET, so that no form
// is sent twice.
type Retry struct {
	// URL is empty for the URL of the request, which is loaded again with its
	// fragment.
	URL string
}

// RetryOf returns a Retry with the URL of a request.
func RetryOf(r *http.Request) *Retry {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return &Retry{}
	}
	return &Retry{URL: r.URL.RequestURI()}
}

// Message writes a page that says what happened and what to do next.
func (p *Pages) Message(w http.ResponseWriter, r *http.Request, status int, v Message) {
	// A few seconds later, and not in all browsers at once.
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
		// Not in a header, since access logs have headers and the URL may have
		// secrets. This is for browsers without scripts.
		s.leadsTo, s.after = v.Retry.URL, after
	}
	p.write(w, r, s)
}

// MessageOnce is [Pages.Message] for a request that may be a form, which must not be sent
// again. Then the page does not load again by itself, and says to wait and to restart.
func (p *Pages) MessageOnce(w http.ResponseWriter, r *http.Request, status int, v Message) {
	if v.Retry != nil && v.Retry.URL != "" {
		retryAfter(w, v.RetryAfter)
		v.Retry, v.RetryAfter, v.Next = nil, 0, NextWaitAndRestart
	}
	p.Message(w, r, status, v)
}

// NotFound writes the page for a URL of the portal without content. code is the error
// code of the API that the URL belongs to; it may be empty.
func (p *Pages) NotFound(w http.ResponseWriter, r *http.Request, code string) {
	p.Message(w, r, http.StatusNotFound, Message{
		Fault:     faultNotFound,
		Link:      &Link{Label: linkAccount, URL: "/sso/account"},
		Reference: code,
	})
}

// messageView adds whether the site failed, which looks more serious than a fault
// that the user can repair, and after how many seconds the page loads again.
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
