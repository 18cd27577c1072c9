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

// InvalidParam is the refusal of a request for one of its parameters, whose name
// the problem follows in a sentence.
func InvalidParam(name, problem string) *Error {
	return ofParam(InvalidRequest, name, name+" "+problem)
}

func ofParam(kind Kind, name, problem string) *Error {
	return &Error{Kind: kind, Description: problem, Params: []ParamError{{Name: name, Problem: problem}}}
}

// MissingParam is the refusal of a request that lacks a parameter.
func MissingParam(name string) *Error { return InvalidParam(name, "is missing.") }

// unregistered is the refusal of a value that is not one of those registered for
// a client.
func unregistered(c *Client, name, value string, registered []string) *Error {
	e := InvalidParam(name, "is not registered for this client.")
	e.Client, e.Params[0].Value, e.Params[0].Registered = c, value, registered
	return e
}

// NotAllowed is the refusal of a request whose user does not allow it.
func NotAllowed() *Error {
	return &Error{Kind: Denied, Description: "The user did not allow it."}
}

// ForeignToken is the refusal of a token that counts, but not for this use.
func ForeignToken() *Error {
	return &Error{Kind: InvalidToken, Description: "The token is not for this use."}
}
