package page

import (
	"net/http"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Form has the fields of a page's own form. Its method is always POST.
type Form struct {
	// Action is the absolute path that the form is sent to.
	Action string

	// Transaction is the value of the field "transaction". Empty: no such field.
	Transaction string
}

// A Person is a signed-in user.
type Person struct {
	Name  string // the user name, or the display name
	Email string // shown below the name; may be empty
}

// A Link is a link on a page.
type Link struct {
	Label Text
	URL   string
}

// A Problem is a fault that is shown above a form.
type Problem struct {
	Fault Fault
	Next  Text   // what to do, in place of the fault's own text
	Code  string // what the Login API calls it; for an Opener
}

// A Provider is an identity provider, shown as a button.
type Provider struct {
	Name string
	URL  string
	Icon string // a URL as in Brand.Logo; may be empty
}

// SignIn is the page that asks for a user name and a password, or to choose a
// provider. Its form posts the fields "transaction", "username" and "password".
type SignIn struct {
	App  string // the application's name; empty if there is none
	Form Form   // without an action there is no form, only providers

	// Scopes are the scopes of the request. The page describes them.
	Scopes []Scope

	Username string   // the name that was typed before
	Problem  *Problem // why the last attempt failed

	// RetryAfter is how long the next attempt has to wait. It is also sent as a
	// header.
	RetryAfter time.Duration

	// SwitchFrom is the signed-in user, if another sign-in is needed. MethodRefused:
	// the application does not accept this account. Other: the application asks for
	// another user. Again: the application asks for a new sign-in.
	SwitchFrom                  *Person
	MethodRefused, Other, Again bool

	Providers      []Provider
	DisableSocials bool   // hides the providers if there is a form
	WidgetOnly     bool   // shows only the form
	Opener         Opener // is notified when the page opens or closes, and of the Problem
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
		s.titles = append([]Text{v.Problem.Fault.part("title")}, s.titles...) // a screen reader reads it first
	}
	for _, provider := range v.Providers {
		if provider.Icon != "" {
			s.policy.images = append(s.policy.images, provider.Icon)
		}
	}
	p.write(w, r, s)
}

// CheckIcon checks the URL of a provider's icon.
func CheckIcon(raw string) error {
	_, err := imageSource(raw)
	return err
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(d)))
	}
}

// seconds rounds up, so that the next attempt is not too early.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// initial is the first letter of a name, shown in place of a picture.
func initial(name string) string {
	r, _ := utf8.DecodeRuneInString(name)
	if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return "•"
	}
	return string(unicode.ToUpper(r))
}
