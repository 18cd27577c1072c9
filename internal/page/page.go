// Package page renders everything that a person sees: the hosted pages, the widget
// that ends a popup flow, and the gate's own pages.
//
// It knows nothing of sessions and clients. A caller fills in a view, such as
// [SignIn] or [Denied], and [Pages] writes the whole response: status, headers and
// body. All pages work without JavaScript; scripts only make some of them faster to
// use.
//
// # Safety
//
// Every page has a Content-Security-Policy without inline script or style, so
// colours come from a stylesheet made for the [Brand], and scripts read what
// they need from data attributes. Links are checked when a page is rendered:
// a view with a javascript: link becomes a 500, not a page.
//
// # Texts
//
// All that a person reads comes from messages/en.toml, by key. A caller names a text or
// a [Fault] by a Go value, such as [FaultUnavailable] or [LinkTryAgain], so that a key
// which does not exist does not compile; templates name it by {{msg "key"}}, and a test
// finds keys that are missing or unused, and texts that stand elsewhere. What operators
// configure, such as scope_text, is theirs. A reference that a person quotes to them
// is in English alone.
//
// A language is one more file in messages. A page is in the language that ui_locales,
// [LanguageCookie] or Accept-Language asks for, in this order; without one it is English.
//
// # Assets
//
// Stylesheet, scripts and icon have names that change with their content, and
// may be cached for ever. [Pages.Assets] serves them under the prefix that the
// pages link to; [Pages.With] gives the same pages under another prefix.
package page

import (
	"bytes"
	"embed"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed templates/*.html static/*
var files embed.FS

// DefaultAssetPrefix is the default of [Options].AssetPrefix.
const DefaultAssetPrefix = "/sso/assets/"

// Options are the options of [New]. The zero value is ready to use.
type Options struct {
	// AssetPrefix is the absolute path under which the assets are served.
	// Default: DefaultAssetPrefix.
	AssetPrefix string

	// Failed is called if a page could not be rendered, which is a fault of the
	// caller, such as a wrong link. The user gets a 500 page without the reason. Nil
	// ignores it.
	Failed func(error)
}

// Pages writes the pages of one brand. It is safe for concurrent use.
type Pages struct {
	brand     brand
	assets    map[string]asset // by hashed name
	names     map[string]string
	catalogue *catalogue
	prefix    string

	assetSource string // of the assets, in a Content-Security-Policy

	failed func(error)
}

// New checks the brand and prepares its pages and assets.
func New(b Brand, o Options) (*Pages, error) {
	texts, err := builtIn()
	if err != nil {
		return nil, err
	}
	return newPages(b, o, texts)
}

// newPages is New with the texts of a catalogue.
func newPages(b Brand, o Options, texts *catalogue) (*Pages, error) {
	checked, err := checkBrand(b)
	if err != nil {
		return nil, err
	}
	prefix := o.AssetPrefix
	if prefix == "" {
		prefix = DefaultAssetPrefix
	}
	if !isLocalPath(prefix) {
		return nil, fmt.Errorf("page: asset prefix %q: want an absolute path such as %s", prefix, DefaultAssetPrefix)
	}
	p := &Pages{brand: checked, catalogue: texts, failed: o.Failed}
	if p.failed == nil {
		p.failed = func(error) {}
	}
	if p.assets, p.names, err = buildAssets(checked.accent); err != nil {
		return nil, err
	}
	return p.With(prefix), nil
}

// With returns the same pages, linking to their assets under prefix, an
// absolute path.
func (p *Pages) With(prefix string) *Pages {
	moved := *p
	moved.prefix, moved.assetSource = strings.TrimSuffix(prefix, "/")+"/", "'self'"
	return &moved
}

// WithAssetsOf returns the same pages, linking to their assets at another origin,
// which serves those of [DefaultAssetPrefix].
func (p *Pages) WithAssetsOf(origin string) *Pages {
	moved := p.With(origin + DefaultAssetPrefix)
	moved.assetSource = origin
	return moved
}

// A sheet is a response before it is written.
type sheet struct {
	template string
	status   int
	titles   []Text   // of the document; the names of application and brand are added
	app      string   // may be empty
	scripts  []string // by plain name
	bare     bool     // without the brand and the card
	leadsTo  string   // navigates to this URL by itself, after
	after    int      // seconds; empty stays
	opener   told     // is notified that the page is open
	view     any
	policy   policy
	err      error // why the page cannot be rendered
}

// frame is the input of the layout.
type frame struct {
	Language   string
	Title      template.HTML
	Brand      brand
	Stylesheet string
	Icon       string
	Scripts    []string
	LightCard  string
	DarkCard   string
	Bare       bool
	LeadsTo    string
	LeadsAfter int
	Opener     told
	View       any
}

// write renders s in the language of a request, or a 500 page if that cannot be done.
func (p *Pages) write(w http.ResponseWriter, r *http.Request, s sheet) {
	l := p.catalogue.language(w, r)
	body, csp, err := p.render(l, s)
	if err != nil {
		p.fail(w, l, s, err)
		return
	}
	send(w, s, body, csp)
}

// fail writes the 500 page in place of s.
func (p *Pages) fail(w http.ResponseWriter, l *localized, s sheet, err error) {
	p.failed(fmt.Errorf("page: rendering %s: %w", s.template, err))
	s = Message{Fault: faultRenderFailed}.sheet(http.StatusInternalServerError)
	body, csp, err := p.render(l, s)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Del("Retry-After")
	w.Header().Del("Refresh")
	send(w, s, body, csp)
}

func send(w http.ResponseWriter, s sheet, body []byte, csp string) {
	h := w.Header()
	s.policy.set(h, csp)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(s.status)
	_, _ = w.Write(body) // the browser went away
}

func (p *Pages) render(l *localized, s sheet) (body []byte, csp string, err error) {
	if s.err != nil {
		return nil, "", s.err
	}
	if s.opener.Origin != "" {
		if err := checkOrigin(s.opener.Origin); err != nil {
			return nil, "", fmt.Errorf("opener's origin %q: %w", s.opener.Origin, err)
		}
		s.scripts = append(s.scripts, "opener.js")
	}
	csp, err = s.policy.contentSecurity(p.brand.logoSource, p.assetSource)
	if err != nil {
		return nil, "", err
	}
	f := frame{
		Language:   l.tag,
		Brand:      p.brand,
		Stylesheet: p.assetURL("page.css"),
		Icon:       p.assetURL("mark.svg"),
		LightCard:  light.card.String(),
		DarkCard:   dark.card.String(),
		Bare:       s.bare,
		LeadsTo:    s.leadsTo,
		LeadsAfter: s.after,
		Opener:     s.opener,
		View:       s.view,
	}
	if f.Brand.Name == "" && f.Brand.Logo == "" {
		f.Brand.Name = html.UnescapeString(string(l.fixed["brand.unnamed"]))
	}
	if f.Title, err = l.documentTitle(s.titles, s.app, f.Brand.Name); err != nil {
		return nil, "", err
	}
	for _, name := range s.scripts {
		f.Scripts = append(f.Scripts, p.assetURL(name))
	}
	var b bytes.Buffer
	if err := l.templates[s.template].Execute(&b, f); err != nil {
		return nil, "", err
	}
	return b.Bytes(), csp, nil
}

// documentTitle is the title of a document, with the names of application and brand at the end.
func (l *localized) documentTitle(titles []Text, names ...string) (template.HTML, error) {
	var title template.HTML
	for _, t := range titles {
		text, err := l.text(t)
		if err != nil {
			return "", err
		}
		if title != "" {
			title += " · "
		}
		title += text
	}
	for _, name := range names {
		if name != "" {
			title += " · " + escape(name)
		}
	}
	return title, nil
}

func (p *Pages) assetURL(name string) string { return p.prefix + p.names[name] }
