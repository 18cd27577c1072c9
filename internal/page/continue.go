package page

import (
	"net/http"
	"strconv"
)

// Continue is the answer to a form. The page navigates to a URL by itself.
//
// A redirect does not work: Chromium applies the form-action of the page with the
// form to all redirects that follow, and that page cannot know the origins to which
// an application redirects. This page ends the form. The next navigation is an
// ordinary one, which replaces this page in the history.
type Continue struct {
	Title Text   // the result of the form
	App   string // the application that URL finally leads to; may be empty
	URL   string

	// Opens means that URL finally opens an application beside the browser, so that
	// this page stays. It is set automatically if URL has a custom scheme.
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

// refresh is the content of a <meta http-equiv="refresh"> that navigates to a URL
// after some seconds. The URL is not quoted, so it extends to the end of the content.
// Only a quotation mark at its beginning could end it earlier, and no accepted link
// begins with one.
func refresh(seconds int, raw string) (string, error) {
	if err := checkLink(raw); err != nil {
		return "", err
	}
	return strconv.Itoa(seconds) + ";url=" + raw, nil
}
