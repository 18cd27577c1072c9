package gate

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A Policy decides which requests may pass.
type Policy struct {
	// Groups are the groups of which a user needs at least one. Empty: any user
	// may pass.
	Groups []string

	// Rules are the other rules for users.
	Rules Rules

	// MaxAge is the longest time since the user was authenticated. Older: the user signs
	// in again. Zero: any time.
	MaxAge time.Duration

	// FailAuthURL is where a browser without a session is sent. Nil: the hosted
	// sign-in page.
	FailAuthURL *url.URL

	// Popup opens a window for the sign-in.
	Popup bool

	// Bearer accepts an access token if there is no session.
	Bearer bool

	// Clients are the IDs of the clients that may pass with their own token (client
	// credentials grant). They are in no group.
	Clients []string

	// Preflight passes CORS preflights on without an identity. They have no
	// credentials.
	Preflight bool

	// DropForms discards a form that was sent without a session. If it is false,
	// the browser sends the form after the sign-in.
	DropForms bool
}

// facts are the input of a decision.
type facts struct {
	User                *session.User // nil: nobody is signed in
	Unavailable         bool          // the store could not be asked
	TooOld              bool          // the user was authenticated longer ago than MaxAge
	Client              string        // the client whose own token it is; "": a user's token, or none
	BadToken            bool          // the token is not valid here
	SignInMethodRefused bool          // the client does not accept the user's sign-in method
	Preflight           bool
	Page                bool // a browser navigates to a page
	Form                bool // a browser navigates by sending a form
	FailPage            bool // the request is for the gate's own fail_auth_url
}

type verdict int

const (
	refuse           verdict = iota // 401: not signed in
	forward                         // with an identity
	passAnonymous                   // without an identity
	signIn                          // redirect to the sign-in page
	signInFirst                     // keep the form in the browser, then sign in
	refuseToken                     // 401: the token is not valid here
	forbid                          // 403: signed in, but not allowed
	unavailable                     // 503: the session could not be checked, and stays
	signInAgain                     // redirect to the sign-in page, which asks a user with a session, too
	signInAgainFirst                // keep the form in the browser, then sign in again
	refuseOld                       // 401: signed in too long ago
)

// decide is the gate's decision. It refuses what is not clearly allowed.
func (p Policy) decide(f facts) verdict {
	switch {
	case f.SignInMethodRefused && f.FailPage:
		return passAnonymous
	case f.SignInMethodRefused:
		return forbid
	case f.Client != "" && slices.Contains(p.Clients, f.Client), f.Client == "" && f.User != nil && p.allows(f.User):
		return p.ofAge(f)
	case f.FailPage:
		return passAnonymous
	case f.User != nil:
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

func (p *Policy) allows(u *session.User) bool { return p.inGroup(u.Groups) && p.Rules.allow(u) }

func (p *Policy) inGroup(groups []string) bool {
	return len(p.Groups) == 0 || slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(p.Groups, g) })
}

// ofAge decides about a user who may pass, but for the age of the sign-in.
func (p *Policy) ofAge(f facts) verdict {
	switch {
	case !f.TooOld:
		return forward
	case f.FailPage:
		return passAnonymous
	case f.Page:
		return signInAgain
	case f.Form:
		return signInAgainFirst
	}
	return refuseOld
}

// factsOf returns what is known of a request. tooOld is about a signed-in user.
func factsOf(r *http.Request, in *oauth.SignedIn, tooOld bool, err error) facts {
	f := facts{Unavailable: err != nil && !errors.Is(err, session.ErrNone)}
	if in != nil {
		if f.User = &in.User; !tooOld {
			return f
		}
	}
	f.TooOld, f.Page, f.Form = tooOld, wantsPage(r), sendsForm(r)
	return f
}

// wantsPage reports whether a browser navigates to a page, so that it follows
// redirects.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && navigates(r.Header)
}

// sendsForm reports whether a browser navigates by sending a form.
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

// ambiguousPath reports whether backends and matchers may read a path differently. It
// finds: a target without a path; two slashes at the beginning, after which URL parsers
// expect a host; encoded separators (also of query and fragment: a matcher for a suffix
// matches what stands after them, and the backend drops that); double encoding;
// backslashes; path parameters; dot segments; and control characters.
func ambiguousPath(r *http.Request) bool {
	p := r.URL.Path
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || r.URL.Opaque != "" || strings.ContainsAny(p, ";\\") || !oauth.CleanText(p) || hasDotSegment(p) {
		return true
	}
	return hasEscape(p) || hasEncodedSeparator(r.URL.RawPath) || hasEncodedSeparator(r.URL.EscapedPath())
}

// hasEscape reports whether decoding a decoded path again would change it.
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
