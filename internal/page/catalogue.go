package page

import (
	"embed"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	i18ntemplate "github.com/nicksnyder/go-i18n/v2/i18n/template"
	"golang.org/x/text/language"
)

//go:embed messages/*.toml
var messages embed.FS

// builtIn is the catalogue of the built-in message files, which never changes.
var builtIn = sync.OnceValues(func() (*catalogue, error) { return loadCatalogue(messages) })

// A catalogue has the texts of all pages, in each language. The first is English, which
// has all of them.
type catalogue struct {
	languages []*localized
	matcher   language.Matcher
}

// localized are the pages in one language.
type localized struct {
	tag       string
	localizer *i18n.Localizer
	parser    *escapingParser

	// fixed are the texts with nothing to put in, and known those that English has.
	fixed map[string]template.HTML
	known map[string]bool

	templates map[string]*template.Template
}

// loadCatalogue reads the message files of a folder, one for each language.
func loadCatalogue(files fs.FS) (*catalogue, error) {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	names, err := fs.Glob(files, "messages/*.toml")
	if err != nil {
		return nil, fmt.Errorf("page: finding message files: %w", err)
	}
	var english *i18n.MessageFile
	for _, name := range names {
		if _, err := language.Parse(strings.TrimSuffix(path.Base(name), ".toml")); err != nil {
			return nil, fmt.Errorf("page: %s: the name is no language: %w", name, err)
		}
		file, err := bundle.LoadMessageFileFS(files, name)
		if err != nil {
			return nil, fmt.Errorf("page: reading %s: %w", name, err)
		}
		if file.Tag == language.English {
			english = file
		}
	}
	if english == nil {
		return nil, errors.New("page: there is no message file for English")
	}
	c := &catalogue{matcher: language.NewMatcher(bundle.LanguageTags())}
	for _, tag := range bundle.LanguageTags() {
		l := &localized{
			tag: tag.String(), localizer: i18n.NewLocalizer(bundle, tag.String()), parser: newParser(),
			fixed: make(map[string]template.HTML), known: make(map[string]bool),
		}
		for _, m := range english.Messages {
			l.known[m.ID] = true
			if m.One != "" || strings.Contains(m.Other, "{{") {
				continue
			}
			if l.fixed[m.ID], err = l.localize(&i18n.LocalizeConfig{MessageID: m.ID}); err != nil {
				return nil, err
			}
		}
		if err := l.parseTemplates(); err != nil {
			return nil, err
		}
		c.languages = append(c.languages, l)
	}
	return c, nil
}

// An escapingParser escapes the words of a text for HTML. The values that are put in
// are escaped already, so that some may be markup.
type escapingParser struct{ i18ntemplate.TextParser }

func newParser() *escapingParser {
	return &escapingParser{i18ntemplate.TextParser{Option: "missingkey=error"}}
}

// Parse implements [i18ntemplate.Parser].
func (p *escapingParser) Parse(text, left, right string) (i18ntemplate.ParsedTemplate, error) {
	return p.TextParser.Parse(html.EscapeString(text), left, right)
}

// localize looks a text up. A language that does not have it shows it in English.
func (l *localized) localize(c *i18n.LocalizeConfig) (template.HTML, error) {
	c.TemplateParser = l.parser
	text, err := l.localizer.Localize(c)
	if missing := (*i18n.MessageNotFoundErr)(nil); err != nil && (!errors.As(err, &missing) || text == "") {
		return "", fmt.Errorf("page: text %q: %w", c.MessageID, err)
	}
	return template.HTML(text), nil //nolint:gosec // the parser escapes the words, and callers the values
}

// text is what a page shows of a Text; the zero value is empty.
func (l *localized) text(t Text) (template.HTML, error) {
	if fixed, ok := l.fixed[t.key]; ok || t.key == "" {
		return fixed, nil
	}
	values := make(map[string]any, len(t.args))
	for name, value := range t.args {
		values[name] = html.EscapeString(value)
	}
	return l.localize(&i18n.LocalizeConfig{MessageID: t.key, TemplateData: values})
}

// message is text for templates: after the key come the names and values of what is put
// in. A value of template.HTML is markup; PluralCount chooses the plural form.
func (l *localized) message(key string, pairs ...any) (template.HTML, error) {
	if len(pairs) == 0 {
		return l.text(Text{key: key})
	}
	c := &i18n.LocalizeConfig{MessageID: key}
	values := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return "", fmt.Errorf("page: text %q: %v is no name", key, pairs[i])
		}
		switch value := pairs[i+1].(type) {
		case template.HTML:
			values[name] = value
		case int:
			values[name] = value
			c.PluralCount = value
		default:
			values[name] = html.EscapeString(fmt.Sprint(value))
		}
	}
	c.TemplateData = values
	return l.localize(c)
}

// title is the heading of a fault.
func (l *localized) title(f Fault) (template.HTML, error) { return l.text(f.part("title")) }

// happened is the reason of a fault, or else what the fault says of it.
func (l *localized) happened(f Fault, reason Text) (template.HTML, error) {
	return l.either(reason, f.part("text"))
}

// next is what to do about a fault: what the page says, or else the fault itself.
func (l *localized) next(f Fault, next Text) (template.HTML, error) {
	return l.either(next, f.part("next"))
}

func (l *localized) either(first, second Text) (template.HTML, error) {
	if first.key == "" && l.known[second.key] {
		return l.text(second)
	}
	return l.text(first)
}
