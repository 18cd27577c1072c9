package portal

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// Every sign-in takes the same path to its session, from the sign-in page, from an HTTP
// API, and from the callback of a provider:
//
//	check the first factor → steps → begin the session
//
// The handler of the first factor checks it. [Hosted.finishSignIn] does the rest.

// A FirstFactor is a user who has proved, by one sign-in method, who they are. They
// have no session yet.
type FirstFactor struct {
	User session.User

	// Authorization is the request that the user signs in for; nil: there is no
	// application.
	Authorization *oauth.Authorization

	device   knownDevice
	context  signInContext
	provider *providerFactor // nil: a password
}

// A providerFactor is the data of the provider's own session.
type providerFactor struct {
	method signin.ProviderMethod
	signIn signin.ProviderSignIn
}

// A Step runs between the first factor and the session: a second factor, terms to
// accept, or an account to link.
type Step interface {
	// Check returns what the user must do before the session begins; nil: nothing.
	Check(r *http.Request, f FirstFactor) (*Pending, error)
}

// Pending is what a user must do before their session begins. Nothing of the session
// is stored until then.
type Pending struct {
	Page  http.HandlerFunc // answers a browser that shows a page
	Error *oauth.Error     // answers a request of an HTTP API
}
