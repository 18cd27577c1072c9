package page

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// UnsentForm answers a form that was sent without a session. With Kept, a
// script puts the form away in this tab of the browser and goes to Kept.NextURL,
// which shows [Pages.SendForm] in the end. Without it, or without scripts, the
// page says that what was sent is lost, and SignInURL leads back to where it can
// be filled in once more.
type UnsentForm struct {
	App       string
	Why       Text // why it is not kept; empty where it is
	SignInURL string
	Kept      *KeptForm

	// Slow says that the form did not arrive in time: the answer is 408.
	Slow bool
}

// A KeptForm is a form in the bytes that the browser sent, whatever encoding
// they are in.
type KeptForm struct {
	ID        string // of the form, and the same in SendForm
	NextURL   string
	ActionURL string // where the form was sent, on this origin
	Type      string // its enctype
	Charset   string // an encoding in which those bytes are text
	Fields    []KeptField

	// Visitor is who was signed in before, by a word that only stands for them;
	// empty: nobody, as far as the browser knows. Where SendForm.Visitor is
	// another, that one is asked first.
	Visitor string
}

// A KeptField is a field of a form, or a file.
type KeptField struct {
	Name, Value []byte
	File        bool
	FileName    []byte
	FileType    string // a media type
}

// Packed writes the fields for the script: each after a space, its parts in
// base64 with dots between.
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

// SendForm sends on, once, what UnsentForm kept in this tab.
type SendForm struct {
	App     string
	ID      string
	BackURL string // where it can be filled in once more
	Visitor string // who is signed in now: see KeptForm.Visitor
	Person  Person // the same, by name
}

// SendForm writes the page that sends a form on.
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
