package portal

import (
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A Hosted answers the paths of the hosted page, all below /sso/. Its fields
// are set once.
type Hosted struct {
	Server  *oauth.Server
	Store   storage.Store
	Keys    *keys.Ring
	Methods methods.List

	// CommonMethods are the IDs of the sign-in methods that are allowed without an
	// application; empty: all.
	CommonMethods []string

	Attempts *attemptlimit.Limiter
	Limits   signin.AttemptLimits
	Pages    *page.Pages

	// Session carries the SSO session, Browser the browser that all tabs share.
	Session, Browser session.Cookie

	// Lifetime is the longest a session lives: how long its cookie is kept.
	Lifetime time.Duration

	// Requests are the kinds of authorization request that a sign-in may be
	// for.
	Requests []Request

	// Steps run between the first factor and the session, in this order.
	Steps []Step

	// From returns the origin of a request.
	From func(*http.Request) oauth.Origin

	Now func() time.Time
	Log *zap.Logger

	// Wall is the clock of this machine, and Now is the clock of the store: a server
	// that signs its requests has another clock. Default: Now.
	Wall func() time.Time

	returning limits.Queues // by method and address
	turns     limits.Turns

	notOpened logthrottle.Throttle

	// Each method has log lines of its own, and each reason, so that none hides
	// another's fault.
	refusedLogouts, lostLogouts, refusedTickets, refusedSubjects, unchecked, notBegun, notFinished, notBelieved, noRefresh logthrottle.ByKind
}

// The paths of the hosted pages, below the issuer.
const (
	SignInPath  = "/sso/sign_in"
	OpenIDPath  = "/sso/sign_in/oauth2" // for requests of OpenID Connect
	SignOutPath = "/sso/sign_out"
	AccountPath = "/sso/account"
	WidgetPath  = "/sso/widget"
	AssetPrefix = "/sso/assets/"

	// Below these are the IDs of the methods with a provider: at the first such a
	// sign-in starts, and to the second the provider sends the browser back.
	StartPrefix    = "/sso/with/"
	CallbackPrefix = "/sso/callback/"

	// Below this are the IDs of the methods by which the operator's own server signs
	// users in, each with the address at which that server requests tickets.
	TrustedPrefix = "/sso/trusted/"
)

// Endpoint returns the handler of a path, or nil if the path is no hosted page.
func (h *Hosted) Endpoint(path string) http.HandlerFunc {
	switch path {
	case SignInPath, OpenIDPath:
		return h.methods(h.showSignIn, h.signIn)
	case ConsentPath, OpenIDConsentPath:
		return h.methods(h.showConsent, h.answerConsent)
	case SignOutPath:
		return h.methods(h.showSignOut, h.signOut)
	case AccountPath, "/sso":
		return h.methods(h.showAccount, nil)
	case SessionsPath:
		return h.methods(h.showSessions, h.endSessions)
	case WidgetPath:
		return h.methods(h.showWidget, nil)
	}
	if name, ok := strings.CutPrefix(path, AssetPrefix); ok {
		return h.methods(func(w http.ResponseWriter, r *http.Request) { h.Pages.ServeAsset(w, r, name) }, nil)
	}
	if id, ok := strings.CutPrefix(path, StartPrefix); ok {
		return h.methods(func(w http.ResponseWriter, r *http.Request) { h.startAtProvider(w, r, id) }, nil)
	}
	if id, ok := strings.CutPrefix(path, CallbackPrefix); ok {
		return h.unguarded(
			func(w http.ResponseWriter, r *http.Request) { h.finishAtCallback(w, r, id) },
			func(w http.ResponseWriter, r *http.Request) { h.finishPosted(w, r, id) }, // another site's form, of which it believes nothing
		)
	}
	if id, ok := strings.CutPrefix(path, BackchannelPrefix); ok {
		return func(w http.ResponseWriter, r *http.Request) { h.backchannelLogout(w, r, id) }
	}
	if id, ok := ticketPath(path); ok {
		return func(w http.ResponseWriter, r *http.Request) { h.giveTicket(w, r, id) }
	}
	return nil
}

// methods answers GET and HEAD with show, POST of a form of this origin with
// submit, and 405 otherwise.
func (h *Hosted) methods(show, submit http.HandlerFunc) http.HandlerFunc {
	if submit != nil {
		submit = h.guarded(submit)
	}
	return h.unguarded(show, submit)
}

// unguarded is methods for forms of any origin.
func (h *Hosted) unguarded(show, submit http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet, r.Method == http.MethodHead:
			show(w, r)
		case r.Method == http.MethodPost && submit != nil:
			submit(w, r)
		default:
			w.Header().Set("Allow", allowedVerbs(submit != nil))
			h.Pages.Message(w, r, http.StatusMethodNotAllowed, page.Message{
				Fault: page.FaultMethodNotAllowed,
			})
		}
	}
}

func allowedVerbs(post bool) string {
	if post {
		return "GET, HEAD, POST"
	}
	return "GET, HEAD"
}

// guarded lets only forms of this very origin through.
func (h *Hosted) guarded(submit http.HandlerFunc) http.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) {
		if err := protection.Check(r); err != nil {
			h.Pages.Message(w, r, http.StatusForbidden, page.Message{
				Fault: page.FaultCrossOrigin, Link: &page.Link{Label: page.LinkSignInPage, URL: SignInPath},
			})
			return
		}
		submit(w, r)
	}
}
