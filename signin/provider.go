package signin

import (
	"context"
	"net/url"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// ProviderMethod is a method that sends the browser to a provider on another site, which
// sends it back to the callback of the method with an answer.
type ProviderMethod interface {
	Method

	// Label returns the text of the button, and the URL of its icon, which may be
	// empty.
	Label() (name, icon string)

	// Start returns the URL at the provider that the browser is sent to.
	Start(ctx context.Context, d ProviderRequest) (string, error)

	// Finish returns the user who came back. The answer is the query, or the form, that
	// the callback received. The portal has checked the state in it. The method checks
	// everything else.
	Finish(ctx context.Context, d ProviderRequest, answer url.Values) (session.User, error)
}

// A ProviderRequest is one sign-in of one browser at a provider.
type ProviderRequest struct {
	State       string // comes back unchanged; only Start has it
	RedirectURI string // the callback, to which the browser comes back

	// Nonce and Verifier are random, secret, and of this sign-in alone. The verifier
	// is one of PKCE (RFC 7636).
	Nonce, Verifier string

	LoginHint     string // the user who is expected; may be empty
	SelectAccount bool   // the user wants another account than the last one

	// AuthAfter is the time since when the user must have authenticated at the
	// provider. Zero: any time.
	AuthAfter time.Time
}

// ProviderSessionMethod is a method whose sessions store data of the provider's own
// session.
type ProviderSessionMethod interface {
	ProviderMethod

	// FinishSession does what Finish does, and returns the provider's session too.
	FinishSession(ctx context.Context, d ProviderRequest, answer url.Values) (ProviderSignIn, error)
}

// A ProviderSignIn is a user who came back from a provider, with data of the
// provider's own session.
type ProviderSignIn struct {
	User session.User

	SessionID    string // the provider's ID of its session; may be empty
	RefreshToken string // may be empty

	// AuthTime is when the provider authenticated the user (auth_time in OpenID Connect
	// Core section 2). Zero: the provider did not state it.
	AuthTime time.Time
}

// LogoutReceiver is a method whose provider reports ended sessions (OpenID Connect
// Back-Channel Logout 1.0).
type LogoutReceiver interface {
	Method

	// Logout checks a logout token. It returns an [ErrAnswer] for one that is not valid,
	// and an [ErrBusy] or a [DownError] for one that it could not check. The portal
	// checks that a token is used once.
	Logout(ctx context.Context, token string) (Logout, error)
}

// A Logout is a provider's report of ended sessions.
type Logout struct {
	ID      string    // of the token, which is used once
	Until   time.Time // when the token is too old in any case
	Session string    // the provider's ID of its session; "": all sessions
	Sub     string    // the provider's ID of the user; "": the session alone is known
	Subject string    // the subject that is derived from Sub
}

// Renewer is a method with a refresh token, with which it asks the provider whether a
// user may still sign in there.
type Renewer interface {
	Method

	// Renewal identifies the provider of a refresh token, so that the token is never
	// sent to another one. It also returns how often to ask for a session in use.
	// Zero: never.
	Renewal() (at string, every time.Duration)

	// Renew exchanges a refresh token for the next one, which may be the same. After
	// [ErrRevoked] the token is no longer valid. After [ErrNotAsked] or a
	// [RefusedError] it is as valid as before. After any other error its state is
	// unknown: the provider may have issued the next token, and the answer was lost.
	Renew(ctx context.Context, token string) (next string, err error)
}

// A UserRenewer is a Renewer that also reads what the provider says of the user now.
type UserRenewer interface {
	Renewer

	// RenewUser does what Renew does, and returns u with the groups, the e-mail address
	// and the claims of now. What could not be read stays as it was.
	RenewUser(ctx context.Context, token string, u session.User) (next string, now session.User, err error)
}
