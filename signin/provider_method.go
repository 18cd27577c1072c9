package signin

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// ProviderMethod is a way that sends the browser to a provider elsewhere, which
// sends it back to the callback of the way with an answer.
type ProviderMethod interface {
	Method

	// Label is what its button says, and the address of an icon, which may be
	// empty: see [page.Provider].
	Label() (name, icon string)

	// Start returns where at the provider the browser goes.
	Start(ctx context.Context, d ProviderRequest) (string, error)

	// Finish returns who came back, given the query of the callback, in which
	// the state was checked already. It believes nothing else in it.
	Finish(ctx context.Context, d ProviderRequest, answer url.Values) (session.User, error)
}

// A ProviderRequest is what one browser leaves for a provider with.
type ProviderRequest struct {
	State       string // comes back unchanged; Start alone has it
	RedirectURI string // where it comes back to

	// Nonce and Verifier are random, secret, and of this departure alone. The
	// verifier is one of PKCE.
	Nonce, Verifier string

	LoginHint     string // who is expected; may be empty
	SelectAccount bool   // the user wants another account than the last one

	// AuthAfter says that the user has to have proved who they are since then,
	// to the provider. Zero: whenever.
	AuthAfter time.Time
}

// What Start and Finish return, beside [ErrBusy]. Anything else is our fault.
var (
	// ErrCancelled says that the provider did not sign the user in, most likely
	// since the user did not want to.
	ErrCancelled = errors.New("the provider did not sign the user in")

	// ErrAnswer says that the answer is not to be believed.
	ErrAnswer = errors.New("the answer of the provider is not right")

	// ErrMisconfigured says that the settings are not those of the provider. It is the
	// cause of a [DownError].
	ErrMisconfigured = errors.New("the setting issuer is not what the provider calls itself")

	// ErrNotReauthenticated says that the user did not prove anew who they are.
	ErrNotReauthenticated = errors.New("the provider did not ask the user to sign in anew")
)

// A DownError says that a provider does not answer as it should.
type DownError struct {
	RetryAfter time.Duration // zero: it is not known when it may
	Cause      error
	Method     string // by its ID; may be empty
}

func (e *DownError) Error() string {
	if e.Cause == nil {
		return "the provider does not answer as it should"
	}
	return "the provider does not answer as it should: " + e.Cause.Error()
}

func (e *DownError) Unwrap() error { return e.Cause }

// A RefusedError says that a provider refuses the application: something is
// wrong with how it is registered there.
type RefusedError struct {
	Code string // as it may be shown

	// ByBrowser says that the browser brought the code, so anybody may have made it up.
	ByBrowser bool
}

func (e *RefusedError) Error() string { return "the provider refuses: " + e.Code }
