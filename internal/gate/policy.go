package gate

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A Policy says who may pass.
type Policy struct {
	// Groups are those of which a user needs at least one; none: any user may
	// pass.
	Groups []string

	// FailAuthURL is where a browser without a session goes instead of the
	// hosted page; nil: to the hosted page.
	FailAuthURL *url.URL

	// Popup makes signing in take a window of its own.
	Popup bool

	// Bearer lets access tokens stand for a session where there is none.
	Bearer bool

	// Clients are the IDs of those that pass by a token of their own. They are
	// in no group.
	Clients []string

	// Preflight lets CORS preflights, which have no credentials, pass without
	// an identity.
	Preflight bool

	// DropForms lets what a form sends without a session get lost, instead of
	// sending it on after signing in.
	DropForms bool
}

// facts are what a decision is made from.
type facts struct {
	SignedIn            bool
	Unavailable         bool // the store could not be asked
	Groups              []string
	Client              string // whose own token it is; "": a user's, or none
	BadToken            bool   // a token does not count
	SignInMethodRefused bool   // the way in which the user signed in does not count here
	Preflight           bool
	Page                bool // a person waits for a page
	Form                bool // a person has sent a form
	FailPage            bool // the request is for the gate's own fail_auth_url
}

type verdict int

const (
	refuse        verdict = iota // 401: sign in first
	forward                      // with an identity
	passAnonymous                // without one
	signIn                       // a person: to the sign-in page
	signInFirst                  // a person's form: it has to wait
	refuseToken                  // 401: the token does not count
	forbid                       // 403: signed in, and not allowed
	unavailable                  // 503: nobody is signed out for our own fault
)

// decide is the gate's decision. What is not clearly allowed is refused.
func (p Policy) decide(f facts) verdict {
	switch {
	case f.SignInMethodRefused && f.FailPage:
		return passAnonymous
	case f.SignInMethodRefused:
		return forbid
	case f.Client != "" && slices.Contains(p.Clients, f.Client), f.Client == "" && f.SignedIn && p.allows(f.Groups):
		return forward
	case f.FailPage:
		return passAnonymous
	case f.SignedIn:
		return forbid
	case f.Unavailable:
		return unavailable
	case f.BadToken:
		return refuseToken
	case f.Preflight && p.Preflight:
		return passAnonymous
	case f.Page:
		return signIn
	case f.Form:
		return signInFirst
	}
	return refuse
}

func (p Policy) allows(groups []string) bool {
	return len(p.Groups) == 0 || slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(p.Groups, g) })
}

func factsOf(r *http.Request, in *oauth.SignedIn, err error) facts {
	f := facts{Unavailable: err != nil && !errors.Is(err, session.ErrNone)}
	if in != nil {
		f.SignedIn, f.Groups = true, in.User.Groups
		return f
	}
	f.Page, f.Form = wantsPage(r), sendsForm(r)
	return f
}

// wantsPage says whether a person asks for a page, and would follow a redirect.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && navigates(r.Header)
}

// sendsForm says whether a person has sent a form, and waits for a page.
func sendsForm(r *http.Request) bool {
	return r.Method == http.MethodPost && navigates(r.Header)
}

// navigates tells a navigation from a script's request, an image, a frame, a
// prefetch, an event stream or a WebSocket (Fetch Metadata, sections 2.1 and
// 2.2).
func navigates(h http.Header) bool {
	if h.Get("Upgrade") != "" || h.Get("X-Requested-With") != "" || httpapi.Prefetches(h) {
		return false
	}
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		// A page that a service worker asks for, for the browser, is "empty".
		dest := h.Get("Sec-Fetch-Dest")
		return mode == "navigate" && (dest == "document" || dest == "empty" || dest == "")
	}
	return httpapi.AcceptsHTML(h)
}

// ambiguousPath finds what backends and matchers read differently: a target
// without a path, two slashes at its beginning (behind which parsers of URLs
// find a host), encoded separators (also those of query and fragment, behind
// which a suffix matches that the backend drops), what is encoded twice, backslashes, path
// parameters, dot segments and control characters.
func ambiguousPath(r *http.Request) bool {
	p := r.URL.Path
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || r.URL.Opaque != "" || strings.ContainsAny(p, ";\\") || !oauth.CleanText(p) || hasDotSegment(p) {
		return true
	}
	return hasEscape(p) || hasEncodedSeparator(r.URL.RawPath) || hasEncodedSeparator(r.URL.EscapedPath())
}

// hasEscape says whether a path that was decoded would change if it were
// decoded once more.
func hasEscape(p string) bool {
	for i := 0; i+2 < len(p); i++ {
		if p[i] == '%' && isHex(p[i+1]) && isHex(p[i+2]) {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hasDotSegment(p string) bool {
	if !strings.Contains(p, "/.") {
		return false
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func hasEncodedSeparator(p string) bool {
	for {
		i := strings.IndexByte(p, '%')
		if i < 0 || i+2 >= len(p) {
			return false
		}
		switch strings.ToLower(p[i+1 : i+3]) {
		case "2f", "5c", "3b", "2e", "3f", "23", "00":
			return true
		}
		p = p[i+1:]
	}
}
