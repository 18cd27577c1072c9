package signin

import (
	"errors"
	"strings"
	"time"
)

var (
	// ErrWrong means that the user name or the password is wrong, and does not tell
	// which. It counts as a failed attempt.
	ErrWrong = errors.New("user name or password is wrong")

	// ErrBusy means that too many sign-ins wait, so this one was not checked.
	ErrBusy = errors.New("too many sign-ins wait to be checked")

	// ErrCancelled means that the provider did not sign the user in, most likely
	// because the user canceled.
	ErrCancelled = errors.New("the provider did not sign the user in")

	// ErrAnswer means that the answer of a provider cannot be trusted.
	ErrAnswer = errors.New("the answer of the provider is not right")

	// ErrMisconfigured means that the settings are not those of the provider. It is
	// the cause of a [DownError].
	ErrMisconfigured = errors.New("the setting issuer is not what the provider calls itself")

	// ErrNotReauthenticated means that the provider did not ask the user to sign in
	// again.
	ErrNotReauthenticated = errors.New("the provider did not ask the user to sign in again")

	// ErrRevoked means that a provider no longer accepts a refresh token.
	ErrRevoked = errors.New("the provider no longer accepts the refresh token")

	// ErrNotAsked means that no request reached the provider.
	ErrNotAsked = errors.New("it could not be asked")
)

// A DownError means that a provider, or the operator's own server, does not answer
// correctly.
type DownError struct {
	RetryAfter time.Duration // zero: unknown
	Cause      error
	Method     string // the ID of the method; may be empty
}

func (e *DownError) Error() string {
	if e.Cause == nil {
		return "the provider does not answer as it should"
	}
	return "the provider does not answer as it should: " + e.Cause.Error()
}

func (e *DownError) Unwrap() error { return e.Cause }

// A RefusedError means that a provider refuses the application: its registration
// there is wrong. [Refused] creates one.
type RefusedError struct {
	Code string // safe to show and to log

	// ByBrowser is set if the browser brought the error code, so it may be forged.
	ByBrowser bool
}

func (e *RefusedError) Error() string { return "the provider refuses: " + e.Code }

// Refused returns the error for a provider that refuses the application with an error
// code. It does not repeat a code that cannot be a registered one.
func Refused(code string) *RefusedError {
	if code == "" || len(code) > 48 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		code = "an unknown error"
	}
	return &RefusedError{Code: code}
}

// AuthorizationError returns the error for the error code of an authorization
// response (RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6).
func AuthorizationError(code string) error {
	switch code {
	case "access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required":
		return ErrCancelled
	case "temporarily_unavailable", "server_error":
		return &DownError{RetryAfter: 5 * time.Second, Cause: errors.New("it answered " + code)}
	}
	refused := Refused(code)
	refused.ByBrowser = true
	return refused
}
