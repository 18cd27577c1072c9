package page

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// FormPost is a page with a form that a script submits at once. Without scripts the
// user clicks a button.
type FormPost struct {
	Title Text   // the result so far
	App   string // the application that gets the form; may be empty

	// ActionURL is the URL that the form is sent to: an absolute path of this site,
	// or an http or https URL.
	ActionURL string
	Fields    []Field

	// Origins are the origins that ActionURL may redirect to, beside its own.
	// Chromium applies the form-action of the page to all redirects after a form.
	Origins []string
}

// A Field is a field of a form.
type Field struct{ Name, Value string }

// FormPost writes the page that sends the form.
func (p *Pages) FormPost(w http.ResponseWriter, r *http.Request, v FormPost) {
	s := sheet{
		template: "formpost",
		status:   http.StatusOK,
		titles:   []Text{v.Title},
		app:      v.App,
		scripts:  []string{"formpost.js"},
		view:     v,
		policy:   policy{form: isLocalPath(v.ActionURL)},
	}
	if !s.policy.form {
		s.policy.posts, s.err = formTargets(append([]string{v.ActionURL}, v.Origins...))
	}
	p.write(w, r, s)
}

// formTargets are the sources of form-action for URLs, each once.
func formTargets(urls []string) ([]string, error) {
	var targets []string
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, fmt.Errorf("a form can be posted to http and https alone") // the URL may hold a code
		}
		target, err := source(u)
		if err != nil {
			return nil, fmt.Errorf("where a form is posted to: %w", err)
		}
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	return targets, nil
}
