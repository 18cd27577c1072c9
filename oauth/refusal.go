package oauth

import (
	"errors"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Unavailable is the refusal of a request that failed by no fault of its own:
// because a store does not answer, or by anything that was not foreseen, so
// that nobody else is blamed for it. What went wrong is for the log alone.
func Unavailable(err error) *Error {
	e := &Error{Kind: Internal, Description: "Something went wrong.", Cause: err}
	if errors.Is(err, storage.ErrUnavailable) {
		e.RetryAfter = time.Second
	}
	return e
}

// Invalid is the refusal of a request that is malformed or lacks something. The
// description is for the caller: see [Error].
func Invalid(description string) *Error {
	return &Error{Kind: InvalidRequest, Description: description}
}

// ForeignToken is the refusal of a token that counts, but not for this use.
func ForeignToken() *Error {
	return &Error{Kind: InvalidToken, Description: "The token is not for this use."}
}
