// Package signin is the hosted page: where people sign in, are asked for their consent,
// see who they are, switch user and sign out, and the widget that a popup goes by. It also holds
// the sign-in methods; local accounts are one, and others can be added from
// outside by what implements [Method].
//
// Until credentials arrive nothing is stored: a sign-in transaction is a sealed
// value in the form, bound to one cookie that all tabs of a browser share.
package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// ErrWrong says that user name or password is wrong, and not which.
var ErrWrong = errors.New("user name or password is wrong")

// A Method is a sign-in method.
type Method interface {
	// ID is the name that the configuration gives it; sessions remember it.
	ID() string

	// Current returns what is known now of a user who signed in this way, and
	// false for one who may no longer.
	Current(session.User) (session.User, bool)
}

// PasswordMethod is a way that checks a name and a password.
type PasswordMethod interface {
	Method

	// Account returns one name for all spellings of a user name, or of an e-mail
	// address, that may be one account's: attempts are counted by it. Whether there
	// is such an account changes nothing about it, since anybody can find out which
	// spellings are counted together.
	Account(name string) string

	// Check returns the user, or ErrWrong after the same work whatever was
	// wrong. ErrBusy says that it was not looked at, and a [DownError] that
	// whoever could tell does not answer.
	Check(ctx context.Context, c Credentials) (session.User, error)
}

// Credentials are what somebody typed, and cannot be printed.
type Credentials struct {
	Name, Password string

	// From is the address of the client.
	From string

	// Known says that this browser signed in to the account before: where others
	// wait, it goes first.
	Known bool

	// Whose is told, before Check returns ErrWrong, the user whose password it was
	// not, where there is one. It may be nil.
	Whose func(session.User)

	// WaitUntil is when a method that has too much to do stops waiting, and returns
	// [ErrBusy]. Zero: the method decides.
	WaitUntil time.Time
}

// Format keeps the password from being printed, under every verb.
func (Credentials) Format(f fmt.State, _ rune) {
	io.WriteString(f, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// NameFinder is a way that knows the names of its users.
type NameFinder interface {
	Method

	// Find returns the user whose name, or e-mail address, was typed, and whether
	// there is one. The user's Mark is that of the password of now.
	Find(name string) (session.User, bool)

	// NameOf is the name of the user with a subject, who may be disabled; "" where
	// there is none.
	NameOf(subject string) string
}

// An Opener is a way that needs more than its configuration. Open is called
// once, before the first request, with the store of the configuration.
type Opener interface {
	Method
	Open(store storage.Store) error
}

// A Watcher is a way that follows what may change. Watch returns when the
// context ends.
type Watcher interface {
	Method
	Watch(ctx context.Context)
}

// Methods are all ways of a configuration.
type Methods []Method

// Current implements [oauth.Users].
func (ws Methods) Current(u session.User) (session.User, bool) {
	w := ws.find(u.Signin)
	if w == nil {
		return session.User{}, false
	}
	if u.Linked != "" {
		return ws.current(u, w)
	}
	now, may := w.Current(u)
	if _, named := w.(NameFinder); may && !named {
		if ws.clash(now.Subject, w) != nil { // another user has the subject since
			return session.User{}, false
		}
		now = ws.own(now, w) // the name may have become another user's since
	}
	return now, may
}

// allows says whether a sign-in method is among those with the allowed IDs. Without
// any ID all are allowed.
func allows(allowed []string, method Method) bool {
	return len(allowed) == 0 || slices.Contains(allowed, method.ID())
}

// providerMethods returns the allowed methods that lead to a provider. Those that come
// and go are among them only if their IDs are named.
func (ws Methods) providerMethods(allowed []string) []ProviderMethod {
	var list []ProviderMethod
	for _, w := range ws {
		if provider, ok := w.(ProviderMethod); ok && allows(allowed, w) {
			list = append(list, provider)
		}
	}
	for _, id := range allowed {
		if provider, ok := ws.dynamic(id).(ProviderMethod); ok {
			list = append(list, provider)
		}
	}
	return list
}

// taken says whether a name is that of a user of some way.
func (ws Methods) taken(name string) bool {
	return slices.ContainsFunc(ws, func(w Method) bool {
		named, ok := w.(NameFinder)
		if !ok {
			return false
		}
		_, there := named.Find(name)
		return there
	})
}

// A Hosted answers the paths of the hosted page, all below /sso/. Its fields
// are set once.
type Hosted struct {
	Server  *oauth.Server
	Store   storage.Store
	Keys    *keys.Ring
	Methods Methods

	// CommonMethods are the IDs of the sign-in methods that count where no
	// application asked; empty: all do.
	CommonMethods []string

	Attempts *attemptlimit.Limiter
	Limits   AttemptLimits
	Pages    *page.Pages

	// Session carries the SSO session, Browser the browser that all tabs share.
	Session, Browser session.Cookie

	// Lifetime is the longest a session lives: how long its cookie is kept.
	Lifetime time.Duration

	// Requests are the kinds of authorization request that a sign-in may be
	// for.
	Requests []Request

	// Steps stand between the first factor and the session, in this order.
	Steps []Step

	// From says where a request comes from.
	From func(*http.Request) oauth.Origin

	Now func() time.Time
	Log *zap.Logger

	// Wall is the clock of this machine, where Now is that of the store: a server
	// that signs its requests goes by neither. Default: Now.
	Wall func() time.Time

	returning lines // by way and address
	turns     turns

	notOpened logthrottle.Throttle

	// Of each way there are lines of their own, and of each reason, so that none hides
	// another's fault.
	refusedLogouts, lostLogouts, refusedTickets, refusedSubjects, unchecked, notBegun, notFinished, notBelieved, noRefresh logthrottle.ByKind
}

// The paths of the hosted page, below the issuer.
const (
	SignInPath  = "/sso/sign_in"
	OpenIDPath  = "/sso/sign_in/oauth2" // for requests of OpenID Connect
	SignOutPath = "/sso/sign_out"
	AccountPath = "/sso/account"
	WidgetPath  = "/sso/widget"
	AssetPrefix = "/sso/assets/"

	// Below these stand the IDs of the ways that lead to a provider: where such
	// a sign-in starts, and where the provider sends the browser back to.
	StartPrefix    = "/sso/with/"
	CallbackPrefix = "/sso/callback/"

	// Below this stand the IDs of the ways that an operator's own server signs
	// people in by, each with the address that it asks for tickets.
	TrustedPrefix = "/sso/trusted/"
)

// Endpoint returns what answers a path, or nil for a path that is not the
// hosted page's.
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
			h.Pages.Message(w, http.StatusMethodNotAllowed, page.Message{
				Title: "This address does not take that",
				Text:  "The request used a method that is not allowed here.",
				Next:  "Open the page in your browser instead.",
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
			h.Pages.Message(w, http.StatusForbidden, page.Message{
				Title: "This form came from another site",
				Text:  "For your safety it was not sent.",
				Next:  "Open the sign-in page itself and try again.",
				Link:  &page.Link{Text: "Open the sign-in page", URL: SignInPath},
			})
			return
		}
		submit(w, r)
	}
}

// signedIn checks the session of a request. It answers by itself, and returns
// false in done, where the store does not.
func (h *Hosted) signedIn(w http.ResponseWriter, r *http.Request, p signInContext) (in oauth.SignedIn, ok, done bool) {
	cookie, there := h.Session.Value(r)
	if !there {
		return oauth.SignedIn{}, false, false
	}
	in, err := h.Server.SignedIn(r.Context(), cookie)
	if err == nil {
		return in, true, false
	}
	if errors.Is(err, session.ErrNone) {
		return oauth.SignedIn{}, false, false
	}
	h.failedFor(w, r, p, err)
	return oauth.SignedIn{}, false, true
}

// warn logs what strangers can bring about, once a minute of its kind.
func (h *Hosted) warn(lines *logthrottle.Throttle, r *http.Request, text string, fields ...zap.Field) {
	if n := lines.Due(h.Now()); n > 0 {
		h.warning(n, r, text, fields...)
	}
}

// warnOf is warn where something fails at a way, once a minute of each reason.
func (h *Hosted) warnOf(kinds *logthrottle.ByKind, method string, err error, r *http.Request, text string, fields ...zap.Field) {
	if n := kinds.Due(method, err, h.Now()); n > 0 {
		h.warning(n, r, text, append(fields, zap.Error(err))...)
	}
}

func (h *Hosted) warning(requests int, r *http.Request, text string, fields ...zap.Field) {
	h.Log.Warn(text, append(fields, zap.String("from", string(h.From(r))), zap.Int("requests", requests))...)
}

// cannotOpen is for what was sealed for a sign-in and cannot be opened: it was made
// up, or sealed by a node that has other keys.
func (h *Hosted) cannotOpen(r *http.Request) {
	h.warn(&h.notOpened, r, "what belongs to a sign-in cannot be opened: if people meet this, the nodes of this portal have different keys, and need the same storage",
		zap.String("setting", "storage"))
}

// Unavailable answers for a page that cannot work yet, because of err. Of the
// fields it needs Pages and Log alone.
func (h *Hosted) Unavailable(w http.ResponseWriter, r *http.Request, err error) { h.failed(w, r, err) }

// NotFound answers a path below /sso/ that nobody else answers. Of the fields it
// needs Pages alone.
func (h *Hosted) NotFound(w http.ResponseWriter, _ *http.Request) { h.Pages.NotFound(w, "") }

// failed answers what went wrong on our side. Nobody is signed out for it.
func (h *Hosted) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.failedFor(w, r, signInContext{}, err)
}

// failedFor is failed where it is known what the sign-in is for: it starts again
// where it was under way, since an answer of a provider may be spent.
func (h *Hosted) failedFor(w http.ResponseWriter, r *http.Request, p signInContext, err error) {
	h.Log.Error("answering the hosted page", zap.Error(err))
	retry := page.RetryOf(r)
	if p.page != "" && p.page != r.URL.Path && (p.request == nil || p.request.Consent != r.URL.Path) {
		retry = &page.Retry{URL: p.address(false)}
	}
	h.message(w, http.StatusServiceUnavailable, p, page.Message{
		Code:       "004-001",
		Title:      "Just a moment",
		Text:       "Signing in is not possible right now. You have not been signed out.",
		RetryAfter: time.Second,
		Retry:      retry,
	})
}
