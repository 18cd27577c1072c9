package page

import (
	"net/http"
	"strconv"
)

// Continue answers a form that was sent, and leads on by itself.
//
// A redirect would not do: Chromium holds all that follows the answer of a form
// against the form-action of the page that it was on, so a redirect to another
// origin, of which that page can know nothing, would end nowhere. With this
// page the form is over, and what follows is a navigation like any other, which
// takes this page's place in the history.
type Continue struct {
	Title Text   // what the form has done
	App   string // where URL leads to in the end; may be empty
	URL   string

	// Opens says that URL opens an application beside the browser in the end, so
	// that this page stays. That is seen where URL itself does.
	Opens bool

	WidgetOnly bool // leaves out the brand
}

// Continue writes the page that leads on.
func (p *Pages) Continue(w http.ResponseWriter, r *http.Request, v Continue) {
	v.Opens = v.Opens || opensApplication(v.URL)
	p.write(w, r, sheet{
		template: "continue",
		status:   http.StatusOK,
		titles:   []Text{v.Title},
		app:      v.App,
		scripts:  []string{"continue.js"},
		bare:     v.WidgetOnly,
		leadsTo:  v.URL,
		view:     v,
	})
}

// refresh is the content of a <meta http-equiv="refresh"> that leads to a URL after some seconds. The URL is not quoted,
// and so goes to the end, whatever is in it: it could only be cut short where it
// began with a quotation mark, and no link that is let through does.
func refresh(seconds int, raw string) (string, error) {
	if err := checkLink(raw); err != nil {
		return "", err
	}
	return strconv.Itoa(seconds) + ";url=" + raw, nil
}
