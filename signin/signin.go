// Package signin is the contract of sign-in methods, for those who write one.
//
// A sign-in method finds out who a user is. The portal does the rest: it shows the
// pages, limits failed attempts, binds answers to the browser, begins the session and
// checks it at every request.
//
// # Which interfaces to implement
//
// Every method is a [Method]. To sign users in, it must also be one of these:
//
//   - [PasswordMethod] checks a user name and a password that were typed on the
//     portal's own page, or sent to its API.
//   - [ProviderMethod] sends the browser to another site, which sends it back with an
//     answer.
//
// The other interfaces are optional. A method implements one if it can do more: know
// its users by name ([NameFinder]), read from the store ([Opener]), follow a file
// ([Watcher]), keep the provider's session ([ProviderSessionMethod]), end sessions that
// a provider ended ([LogoutReceiver]), ask a provider again later ([Renewer]).
//
// # Users
//
// A method returns a [session.User]. Subject identifies the user for good, and no two
// users of a configuration may have the same one: a method whose IDs could be those of
// another method derives a UUID of version 5 from them. Signin is the ID of the method.
//
// The users of a [NameFinder] are part of the configuration, and are taken as they
// are. The portal does not trust the users of other methods. A name that has
// characters which cannot be seen, or that a known user has, is replaced by the
// e-mail address or the subject. A subject that is that of another user, or could be,
// is refused.
//
// # Errors
//
// A method says what went wrong by the errors of this package, so that the page can say
// what to do next. Every other error is a fault of the portal: the user is asked to try
// again, and the operator reads the error in the log. No error may contain a password,
// a code or a token.
//
// # Concurrency and time
//
// All methods of an interface are called from several goroutines at once. A context ends
// when the browser goes away. A method that waits for something bounds that time itself.
//
// # Registration with Caddy
//
// A Caddy module with an ID below sso.signin makes the method: see
// [github.com/caddy-sso/caddy-sso/caddymodule.MethodModule]. The JSON key method names
// the module.
package signin

import (
	"context"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A Method is a sign-in method.
type Method interface {
	// ID is the name that the configuration gives the method. Sessions store it.
	ID() string

	// Current returns the current data of a user who signed in by this method, and
	// false for a user who may no longer sign in. It is called at every request of a
	// session, so it must not wait, and should allocate little.
	Current(u session.User) (session.User, bool)
}

// An Opener is a method that needs more than its configuration. Open is called once,
// before the first request, with the store of the configuration.
type Opener interface {
	Method
	Open(store storage.Store) error
}

// A Watcher is a method that follows something that may change. Watch returns when the
// context ends.
type Watcher interface {
	Method
	Watch(ctx context.Context)
}
