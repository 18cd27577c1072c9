package page

import (
	"net/http"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Form is what a page's own form posts. Submit is always POST.
type Form struct {
	// Action is the absolute path that is posted to.
	Action string

	// Transaction is posted as field "transaction". Empty leaves it out.
	Transaction string
}

// A Person is somebody who is signed in.
type Person struct {
	Name  string // what they sign in with, or go by
	Email string // shown below the name; may be empty
}

// A Link leads on from a page.
type Link struct {
	Label Text
	URL   string
}

// A Problem says what went wrong, and what to do next.
type Problem struct {
	Fault Fault
	Next  Text   // in place of the fault's own
	Code  string // what the Login API calls it; for an Opener
}

// A Provider is an outside identity provider, shown as a button.
type Provider struct {
	Name string
	URL  string
	Icon string // an address as in Brand.Logo; may be empty
}

// SignIn is the page that asks for a user name and a password, or to choose a
// provider. Its form posts the fields "transaction", "username" and "password".
type SignIn struct {
	App  string // the application's name; empty if there is none
	Form Form   // without an action there is none, only the providers

	// Scopes are what the application asks for. The page says them in words.
	Scopes []Scope

	Username string   // what was typed before
	Problem  *Problem // why the last attempt failed

	// RetryAfter is how long the next attempt has to wait. It is also sent as
	// a header.
	RetryAfter time.Duration

	// SwitchFrom is who is signed in now: when another account is to be used,
	// with Unfit since this one will not do for the application, with Other since
	// the application asks for another user, or, with Again, when the application
	// asks for a new sign-in.
	SwitchFrom                  *Person
	MethodRefused, Other, Again bool

	Providers      []Provider
	DisableSocials bool   // leaves the providers out, where there is a form
	WidgetOnly     bool   // leaves out all but the form
	Opener         Opener // is told that the page is open or closed, and of the Problem
	CancelURL      string // may be empty
}

// SignIn writes the sign-in page.
func (p *Pages) SignIn(w http.ResponseWriter, r *http.Request, status int, v SignIn) {
	if v.DisableSocials && v.Form.Action != "" {
		v.Providers = nil
	}
	retryAfter(w, v.RetryAfter)
	s := sheet{
		template: "signin",
		status:   status,
		titles:   []Text{{key: "sign_in.title"}},
		app:      v.App,
		scripts:  []string{"fragment.js", "signin.js"},
		bare:     v.WidgetOnly,
		view:     v,
		policy:   policy{form: true},
		opener:   told{v.Opener, v.Problem},
	}
	if v.Problem != nil {
		s.titles = append([]Text{v.Problem.Fault.part("title")}, s.titles...) // what a screen reader says first
	}
	for _, provider := range v.Providers {
		if provider.Icon != "" {
			s.policy.images = append(s.policy.images, provider.Icon)
		}
	}
	p.write(w, r, s)
}

// CheckIcon checks the address of a provider's icon.
func CheckIcon(raw string) error {
	_, err := imageSource(raw)
	return err
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(d)))
	}
}

// seconds rounds up: who comes back then must not be early.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// initial is the letter that stands for a person.
func initial(name string) string {
	r, _ := utf8.DecodeRuneInString(name)
	if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return "•"
	}
	return string(unicode.ToUpper(r))
}
