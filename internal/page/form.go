package page

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// UnsentForm is the answer to a form that was sent without a session. With Kept, a
// script keeps the form in this tab and navigates to Kept.NextURL, which shows
// [Pages.SendForm] after the sign-in. Without Kept, or without scripts, the page says
// that the form was not sent, and SignInURL leads back to the page with the form.
type UnsentForm struct {
	App       string
	Why       Text // why the form is not kept; empty: it is kept
	SignInURL string
	Kept      *KeptForm

	// Slow means that the form did not arrive in time. The status is 408.
	Slow bool
}

// A KeptForm is a form with the bytes that the browser sent, in any encoding.
type KeptForm struct {
	ID        string // of the form, and the same in SendForm
	NextURL   string
	ActionURL string // the URL that the form was sent to, on this origin
	Type      string // its enctype
	Charset   string // an encoding in which those bytes are text
	Fields    []KeptField

	// Visitor is a hash for the user who was signed in before. Empty: unknown. If
	// SendForm.Visitor differs, the page asks before it sends the form.
	Visitor string
}

// A KeptField is a field of a form, or a file.
type KeptField struct {
	Name, Value []byte
	File        bool
	FileName    []byte
	FileType    string // a media type
}

// Packed encodes the fields for the script: separated by spaces, each with its parts
// in base64, separated by dots.
func (f KeptForm) Packed() string {
	var b strings.Builder
	pack := func(end byte, part []byte) {
		b.WriteString(base64.RawURLEncoding.EncodeToString(part))
		b.WriteByte(end)
	}
	for _, field := range f.Fields {
		pack('.', field.Name)
		if field.File {
			pack('.', field.Value)
			pack('.', field.FileName)
			pack(' ', []byte(field.FileType))
		} else {
			pack(' ', field.Value)
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

// UnsentForm writes the page that keeps a form, or says that it is lost.
func (p *Pages) UnsentForm(w http.ResponseWriter, r *http.Request, v UnsentForm) {
	s := sheet{
		template: "unsentform",
		status:   http.StatusUnauthorized,
		titles:   []Text{{key: "unsent_form.title"}},
		app:      v.App,
		view:     v,
	}
	if v.Slow {
		s.status = http.StatusRequestTimeout
	}
	if v.Kept != nil {
		s.scripts = []string{"unsentform.js"}
	}
	p.write(w, r, s)
}

// SendForm is the page that sends, once, the form that UnsentForm kept in this tab.
type SendForm struct {
	App     string
	ID      string
	BackURL string // the page with the form
	Visitor string // the signed-in user: see KeptForm.Visitor
	Person  Person // the same, by name
}

// SendForm writes the page that sends a kept form.
func (p *Pages) SendForm(w http.ResponseWriter, r *http.Request, v SendForm) {
	p.write(w, r, sheet{
		template: "sendform",
		status:   http.StatusOK,
		titles:   []Text{{key: "send_form.title"}},
		app:      v.App,
		scripts:  []string{"sendform.js"},
		view:     v,
		policy:   policy{sends: true},
	})
}
