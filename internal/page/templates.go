package page

import (
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// textAction is what a template says for a text with nothing to put in.
var textAction = regexp.MustCompile(`\{\{msg "([^"]*)"\}\}`)

// parseTemplates reads the templates, each with the layout and the parts. Texts with
// nothing to put in stand in them from then on, so that no page has to look them up.
func (l *localized) parseTemplates() error {
	parse := func(t *template.Template, name string) (*template.Template, error) {
		source, err := files.ReadFile("templates/" + name)
		if err != nil {
			return nil, fmt.Errorf("page: reading a template: %w", err)
		}
		expanded := textAction.ReplaceAllStringFunc(string(source), func(action string) string {
			text, ok := l.fixed[textAction.FindStringSubmatch(action)[1]]
			if !ok || strings.Contains(string(text), "{{") {
				return action
			}
			return string(text)
		})
		if t, err = t.New(name).Parse(expanded); err != nil {
			return nil, fmt.Errorf("page: parsing a template: %w", err)
		}
		return t, nil
	}
	layout, err := parse(template.New("").Funcs(l.funcs()), "layout.html")
	if err != nil {
		return err
	}
	if _, err = parse(layout, "parts.html"); err != nil {
		return err
	}
	l.templates = make(map[string]*template.Template)
	pages, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return fmt.Errorf("page: listing the templates: %w", err)
	}
	for _, file := range pages {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := layout.Clone()
		if err != nil {
			return fmt.Errorf("page: parsing a template: %w", err)
		}
		if _, err = parse(t, name+".html"); err != nil {
			return err
		}
		l.templates[name] = t
	}
	return nil
}
