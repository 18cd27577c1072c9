package oauth

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// A Kind is the kind of an error, in terms of the protocol. Each HTTP API package has
// its own status and code for it.
type Kind int

// The kinds of error. The zero value is Internal, so that an unclassified error never
// blames the caller.
const (
	Internal                Kind = iota // our own fault: a store or key is not available
	InvalidRequest                      // a parameter is missing, malformed or not registered
	InvalidState                        // state is missing or too short
	UnknownClient                       // no such client
	UnknownProject                      // no such project
	ClientDisabled                      // the client is disabled
	ClientAuth                          // wrong or missing client credentials
	InvalidGrant                        // code or token: unknown, expired, used, or of another client
	LoginRequired                       // no session, and no sign-in is possible
	InteractionRequired                 // the session does not suffice, and the user may not be asked
	WrongPassword                       // user name or password is wrong
	Denied                              // refused for every caller
	TooManyAttempts                     // to sign in; see RetryAfter
	TooManyCodes                        // live codes; see RetryAfter
	InvalidToken                        // unknown, expired, of an ended grant, or for another use
	UnauthorizedClient                  // the client may not use this grant or response type
	UnsupportedResponseType             // no such response type
	UnsupportedGrantType                // no such grant type
	RequestObject                       // the parameter request, which is not supported
	RequestObjectURI                    // the parameter request_uri, which is not supported
	LinkSpent                           // a link of the License API is used or expired
	NoSeat                              // all seats of the user for a product are taken
	Unprovisioned                       // the vendor's backend did not accept the new user
	UnknownProduct                      // no such product
	UnknownAccount                      // no such customer account, or not one of the product
	UnknownProvider                     // no such provider, or it is not allowed for this request
	ProviderFailed                      // the provider does not answer
	Misconfigured                       // the operator must correct a setting
	UnsupportedTokenType                // the token is of a type that cannot be revoked
	SubjectToken                        // the token to exchange is not valid
	ConsentRequired                     // the consent page must ask the user first
	kinds                               // the number of kinds
)

// Kinds returns all kinds of error, for tests that each is rendered.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// An Error is a refusal. Each HTTP API package renders it in its own form.
type Error struct {
	Kind Kind

	// Description is for the caller. It has no secret, and no user input except names
	// of parameters.
	Description string

	// Params are the faults of parameters, one for each parameter. Empty: no
	// parameter is wrong.
	Params []ParamError

	// Client is the client of the request, if it is known. Only for the log.
	Client *Client

	// RetryAfter is when another attempt can succeed. Zero: never.
	RetryAfter time.Duration

	// Cause is only for the log.
	Cause error
}

// A ParamError is the fault of one parameter.
type ParamError struct {
	Name    string
	Problem string // a sentence for the caller

	// Value is the unregistered value, and Registered are the registered ones. Only
	// for the log.
	Value      string
	Registered []string
}

// And adds the faults of another error of the same request to e, which stays the main
// error. Either may be nil. For each parameter the first fault is kept.
func (e *Error) And(other *Error) *Error {
	switch {
	case e == nil:
		return other
	case other == nil:
		return e
	}
	both := *e
	both.Params = slices.Clip(e.Params)
	for _, p := range other.Params {
		if !slices.ContainsFunc(both.Params, func(known ParamError) bool { return known.Name == p.Name }) {
			both.Params = append(both.Params, p)
		}
	}
	both.Client = cmp.Or(e.Client, other.Client)
	return &both
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Description + ": " + e.Cause.Error()
	}
	return e.Description
}

func (e *Error) Unwrap() error { return e.Cause }

// cause returns the cause of an error; nil for no error.
func (e *Error) cause() error {
	if e == nil {
		return nil
	}
	return e.Cause
}

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
	return paramError(InvalidRequest, name, name+" "+problem)
}

func paramError(kind Kind, name, problem string) *Error {
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
