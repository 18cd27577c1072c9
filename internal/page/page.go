// Package page is how everything a person sees looks: the hosted sign-in page,
// the widget that ends a popup flow, and the gate's own pages.
//
// It knows nothing of sessions, clients or requests. A caller fills in a view,
// such as [SignIn] or [Denied], and [Pages] writes the whole response: status,
// headers and body. All pages work without JavaScript; scripts only make some
// of them quicker to use.
//
// # Safety
//
// Every page has a Content-Security-Policy without inline script or style, so
// colours come from a stylesheet made for the [Brand], and scripts read what
// they need from data attributes. Links are checked when a page is rendered:
// a view with a javascript: link becomes a 500, not a page.
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
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed templates/*.html static/*
var files embed.FS

// DefaultAssetPrefix is where pages look for their assets unless told otherwise.
const DefaultAssetPrefix = "/sso/assets/"

// Options are what pages need besides the brand. The zero value is usable.
type Options struct {
	// AssetPrefix is the absolute path under which the assets are served.
	// Default: DefaultAssetPrefix.
	AssetPrefix string

	// Failed is called when a page could not be rendered, which is a fault of
	// the caller, such as a link that is none. The person gets a 500 page that
	// keeps the reason to itself. Nil ignores it.
	Failed func(error)
}

// Pages writes the pages of one brand. It is safe for concurrent use.
type Pages struct {
	brand     brand
	assets    map[string]asset // by hashed name
	names     map[string]string
	templates map[string]*template.Template
	prefix    string

	assetSource string // of the assets, in a Content-Security-Policy

	failed func(error)
}

// New checks the brand and prepares its pages and assets.
func New(b Brand, o Options) (*Pages, error) {
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
	p := &Pages{brand: checked, failed: o.Failed}
	if p.failed == nil {
		p.failed = func(error) {}
	}
	if p.templates, err = parseTemplates(); err != nil {
		return nil, err
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

func parseTemplates() (map[string]*template.Template, error) {
	layout, err := template.New("layout.html").Funcs(template.FuncMap{
		"link":    link,
		"opens":   opensApplication,
		"action":  actionURL,
		"image":   imageURL,
		"refresh": refresh,
		"initial": initial,
		"inWords": inWords,
		"soon":    soon,
	}).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("page: parsing the layout: %w", err)
	}
	templates := make(map[string]*template.Template)
	for _, name := range []string{
		"signin", "consent", "continue", "formpost", "application", "account", "sessions", "signout", "signedout", "widget", "denied", "popupsignin", "popupdone", "unsentform", "sendform", "message",
	} {
		t, err := layout.Clone()
		if err == nil {
			t, err = t.ParseFS(files, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("page: parsing %s: %w", name, err)
		}
		templates[name] = t
	}
	return templates, nil
}

// A sheet is one response before it is written.
type sheet struct {
	template string
	status   int
	title    string   // of the document; the brand's name is added
	scripts  []string // by plain name
	bare     bool     // without the brand and the card
	leadsTo  string   // without being asked, after
	after    int      // seconds; empty stays
	opener   told     // is told that this page shows
	view     any
	policy   policy
}

// frame is what the layout reads.
type frame struct {
	Title      string
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

// write renders s, or a 500 page if that cannot be done.
func (p *Pages) write(w http.ResponseWriter, s sheet) {
	if s.opener.Origin != "" {
		if err := checkOrigin(s.opener.Origin); err != nil {
			p.fail(w, s, fmt.Errorf("opener's origin %q: %w", s.opener.Origin, err))
			return
		}
		s.scripts = append(s.scripts, "opener.js")
	}
	body, csp, err := p.render(s)
	if err != nil {
		p.fail(w, s, err)
		return
	}
	send(w, s, body, csp)
}

// fail writes the 500 page in place of s.
func (p *Pages) fail(w http.ResponseWriter, s sheet, err error) {
	p.failed(fmt.Errorf("page: rendering %s: %w", s.template, err))
	s = Message{
		Title: "Something went wrong",
		Text:  "This page could not be shown.",
		Next:  "Go back and try again. If it happens again, tell the people who run this site.",
	}.sheet(http.StatusInternalServerError)
	body, csp, err := p.render(s)
	if err != nil {
		http.Error(w, "Something went wrong. Go back and try again.", http.StatusInternalServerError)
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
	_, _ = w.Write(body) // the browser went away; there is nobody left to tell
}

func (p *Pages) render(s sheet) (body []byte, csp string, err error) {
	csp, err = s.policy.contentSecurity(p.brand.logoSource, p.assetSource)
	if err != nil {
		return nil, "", err
	}
	f := frame{
		Title:      s.title,
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
	if p.brand.Name != "" {
		f.Title += " · " + p.brand.Name
	}
	for _, name := range s.scripts {
		f.Scripts = append(f.Scripts, p.assetURL(name))
	}
	var b bytes.Buffer
	if err := p.templates[s.template].Execute(&b, f); err != nil {
		return nil, "", err
	}
	return b.Bytes(), csp, nil
}

func (p *Pages) assetURL(name string) string { return p.prefix + p.names[name] }
