package oauth

import (
	"cmp"
	"slices"
	"time"
)

// A Kind says what was wrong, in terms of the protocol. Each face has its own
// status and code for it.
type Kind int

// The kinds of error. The zero value is Internal, so that an error nobody
// classified is never the caller's fault.
const (
	Internal                Kind = iota // ours: a store or key is not to be had
	InvalidRequest                      // a parameter is missing, malformed or not registered
	InvalidState                        // state is missing or too short
	UnknownClient                       // no such client
	UnknownProject                      // no such project
	ClientDisabled                      // the client's entry is disabled
	ClientAuth                          // the client did not prove who it is
	InvalidGrant                        // code or token: unknown, expired, spent, or not this client's
	LoginRequired                       // no session, and none may be begun
	InteractionRequired                 // the session is not one that will do, and the user may not be asked
	WrongPassword                       // user name or password is wrong
	Denied                              // refused, whoever asks
	TooManyAttempts                     // of signing in, RetryAfter says until when
	TooManyCodes                        // live codes, RetryAfter says until when
	InvalidToken                        // unknown, expired, of an ended grant, or not for this use
	UnauthorizedClient                  // the client may not use this grant or response type
	UnsupportedResponseType             // no such response type
	UnsupportedGrantType                // no such grant type
	RequestObject                       // parameters in a JWT, which there are none of
	RequestObjectURI                    // parameters at an address, which are not fetched
	LinkSpent                           // a License API link was used already, or is too old
	NoSeat                              // the user has as many sessions for a product as there may be
	Unprovisioned                       // the vendor's backend did not take the new user
	UnknownProduct                      // no such product
	UnknownAccount                      // no such customer account, or not one of the product's
	UnknownProvider                     // no such sign-in method elsewhere, or none for this request
	ProviderFailed                      // the provider to sign in at does not answer
	Misconfigured                       // the operator has to mend a setting
	UnsupportedTokenType                // the token is of a type that cannot be revoked
	SubjectToken                        // the token that another was asked for does not count
	ConsentRequired                     // the user has to be asked on the consent page first
	kinds                               // how many there are
)

// Kinds are all kinds of error, for a face to show that it renders each.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// An Error is a refusal: one value in the core, one rendering a face.
type Error struct {
	Kind Kind

	// Description is for the caller. It holds no secret and no user input
	// beyond names of parameters.
	Description string

	// Params are what is wrong with parameters of the request, once for each.
	// Empty: no parameter is at fault.
	Params []ParamError

	// Client is whose request it was, where that is known. For the log alone.
	Client *Client

	// RetryAfter says when trying again makes sense; zero: it does not.
	RetryAfter time.Duration

	// Cause is for the log alone.
	Cause error
}

// A ParamError is what is wrong with one parameter of a request.
type ParamError struct {
	Name    string
	Problem string // a sentence for the caller

	// Value is what was sent in place of a registered value, and Registered what
	// could have been. For the log alone.
	Value      string
	Registered []string
}

// And is e together with what else is wrong with the same request: e stays what
// the error is about. Either may be nil. Of each parameter the first fault counts.
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

// cause returns the cause of an error, nil for no error.
func (e *Error) cause() error {
	if e == nil {
		return nil
	}
	return e.Cause
}
