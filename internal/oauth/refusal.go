package oauth

import (
	"errors"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Unavailable is the refusal of a request that failed without its own fault: a store
// does not answer, or something unexpected happened. The cause is only for the log.
func Unavailable(err error) *Error {
	e := &Error{Kind: Internal, Description: "Something went wrong.", Cause: err}
	if errors.Is(err, storage.ErrUnavailable) {
		e.RetryAfter = time.Second
	}
	return e
}

// Invalid is the refusal of a malformed request. The description is for the caller:
// see [Error].
func Invalid(description string) *Error {
	return &Error{Kind: InvalidRequest, Description: description}
}

// InvalidParam is the refusal of a parameter. The problem is the rest of a sentence
// that begins with its name.
func InvalidParam(name, problem string) *Error {
	return ofParam(InvalidRequest, name, name+" "+problem)
}

func ofParam(kind Kind, name, problem string) *Error {
	return &Error{Kind: kind, Description: problem, Params: []ParamError{{Name: name, Problem: problem}}}
}

// MissingParam is the refusal of a request without a required parameter.
func MissingParam(name string) *Error { return InvalidParam(name, "is missing.") }

// unregistered is the refusal of a value that is not registered for a client.
func unregistered(c *Client, name, value string, registered []string) *Error {
	e := InvalidParam(name, "is not registered for this client.")
	e.Client, e.Params[0].Value, e.Params[0].Registered = c, value, registered
	return e
}

// NotAllowed is the error of a request that the user denied.
func NotAllowed() *Error {
	return &Error{Kind: Denied, Description: "The user did not allow it."}
}

// ForeignToken is the refusal of a token that is valid, but not for this use.
func ForeignToken() *Error {
	return &Error{Kind: InvalidToken, Description: "The token is not for this use."}
}
