package oauth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// An OpenIDRequest is an unchecked request to the OpenID Connect authorization
// endpoint.
type OpenIDRequest struct {
	ResponseType string
	ResponseMode string // "": the default of the response type
	ClientID     string
	RedirectURI  string
	State        string
	Scope        []string
	Audience     []string // as sent; empty: the client's first

	CodeChallenge       string
	CodeChallengeMethod string

	Nonce     string
	Prompt    []string       // of none, login, consent and select_account
	MaxAge    *time.Duration // nil: any
	LoginHint string

	// AuthAfter is a parameter of our own. It replaces prompt=login and max_age when
	// the user is sent to sign in, so that the request accepts the new sign-in.
	// AuthNot is the ID of the session at that time; "": none.
	AuthAfter time.Time
	AuthNot   string

	// IDTokenHint is an ID token of the expected user. SealedHint is a parameter of
	// our own: the same token, sealed. Subject is a parameter of our own: its
	// subject, which replaces it when the user is sent to sign in.
	IDTokenHint string
	SealedHint  string
	Subject     string

	// RequestObject and RequestURI mean that the request has the unsupported
	// parameters request and request_uri (OpenID Connect Core section 6).
	RequestObject, RequestURI bool

	// Malformed is the first fault of a malformed parameter. Malformed parameters are
	// left out. Nil: there are none.
	Malformed *Error

	// Handle and CustomerAccount are parameters of a link of the License API.
	Handle          string
	CustomerAccount string
}

// checkLinked is CheckOpenID for a request with a link of the License API.
func (s *Server) checkLinked(ctx context.Context, r OpenIDRequest) (*Authorization, *Error) {
	if r.Malformed != nil {
		return nil, r.Malformed
	}
	a, refusal := s.checkLink(ctx, r)
	if refusal != nil {
		return nil, refusal
	}
	a.setMode(r)
	return a, s.readRequirements(ctx, a, r)
}

// CheckOpenID checks a request against the registration of its client. An error that
// is returned with an authorization may be sent to its redirect URI (RFC 6749 section
// 4.1.2.1). Without an authorization it may only be shown to the user.
func (s *Server) CheckOpenID(ctx context.Context, r OpenIDRequest) (*Authorization, *Error) {
	if r.Handle != "" {
		return s.checkLinked(ctx, r)
	}
	c, known := s.Clients.Get(r.ClientID)
	switch {
	case r.ClientID == "":
		return nil, MissingParam("client_id")
	case !known:
		return nil, &Error{Kind: UnknownClient, Description: "The application is not known here."}
	case c.Disabled:
		return nil, &Error{Kind: ClientDisabled, Description: "This application is disabled."}
	case r.RedirectURI == "":
		return nil, MissingParam("redirect_uri")
	}
	redirect, registered := c.RedirectURI(r.RedirectURI)
	if !registered {
		return nil, c.unregisteredURI(r.RedirectURI)
	}
	a := &Authorization{
		Client: c, Redirect: redirect, RedirectURI: r.RedirectURI, State: r.State,
		OpenID: true, Nonce: r.Nonce, Challenge: r.CodeChallenge, Methods: c.Methods, Scopes: c.openIDScopes(r.Scope),
		OfflineAccess: slices.Contains(r.Scope, offlineAccess),
	}
	a.LeftOut = droppedScopes(r.Scope, a.Scopes)
	a.setMode(r)
	if r.Malformed != nil {
		return a, r.Malformed
	}
	switch r.ResponseType {
	case "code":
	case "":
		return a, MissingParam("response_type")
	case "token", "id_token", "id_token token", "token id_token":
		a.Token = true // the client looks for the error in the fragment
		return a, &Error{Kind: UnauthorizedClient, Description: "Tokens in a redirect are for licensed software only, by a link of the License API."}
	default:
		return a, &Error{Kind: UnsupportedResponseType, Description: "response_type should be code."}
	}
	if err := c.checkChallenge(r.CodeChallenge, r.CodeChallengeMethod); err != nil {
		return a, err
	}
	if len(r.Audience) == 0 {
		a.Audience = []string{c.defaultAudience()}
	} else {
		audience, err := c.audience(r.Audience, false)
		if err != nil {
			return a, err
		}
		a.Audience = audience
	}
	return a, s.readRequirements(ctx, a, r)
}

// readRequirements reads what a request requires of the sign-in (OpenID Connect Core
// section 3.1.2.1).
func (s *Server) readRequirements(ctx context.Context, a *Authorization, r OpenIDRequest) *Error {
	if refusal := a.readRequirements(r, s.Now()); refusal != nil {
		return refusal
	}
	a.Subject, a.otherSubject = r.Subject, s.OtherSubject
	if r.IDTokenHint == "" {
		return nil
	}
	hint, refusal := s.IDTokenHint(ctx, r.IDTokenHint)
	switch {
	case refusal != nil && refusal.Kind != InvalidToken:
		return refusal
	case refusal == nil && hint.Client == a.Client:
		a.Subject = hint.Subject
	case a.Silent:
		// The expected user is unknown, so no session can match. The next request,
		// which may show a page, asks the user.
		return &Error{Kind: LoginRequired, Description: "The id_token_hint is not an ID token of this client that can be verified."}
	}
	return nil
}

func (a *Authorization) readRequirements(r OpenIDRequest, now time.Time) *Error {
	switch {
	case r.RequestObject:
		return &Error{Kind: RequestObject, Description: "The parameter request is not supported."}
	case r.RequestURI:
		return &Error{Kind: RequestObjectURI, Description: "The parameter request_uri is not supported."}
	case r.ResponseMode != "" && r.ResponseMode != a.responseMode():
		return InvalidParam("response_mode", "should be one of ["+a.defaultMode()+" "+formPost+"], and "+formPost+" with an http or https redirect_uri.")
	}
	a.LoginHint = r.LoginHint
	a.AuthAfter, a.sessionBefore, a.wasAsked = r.AuthAfter, r.AuthNot, !r.AuthAfter.IsZero()
	if a.AuthAfter.After(now) { // no session would ever be accepted
		a.AuthAfter = now
	}
	for _, p := range r.Prompt {
		switch p {
		case "none":
			a.Silent = true
		case "login":
			a.AuthAfter, a.wasAsked, a.mustAsk = now, false, true
		case "consent":
			a.PromptConsent = true
		case "select_account":
			a.Confirm = true
		default:
			return InvalidParam("prompt", "should be one of [none login consent select_account].")
		}
	}
	if a.Silent && len(r.Prompt) > 1 {
		return InvalidParam("prompt", "none goes with no other.")
	}
	if r.MaxAge != nil {
		if oldest := now.Add(-*r.MaxAge); oldest.After(a.AuthAfter) {
			a.AuthAfter, a.wasAsked = oldest, false
		}
	}
	return nil
}

// ClockLeeway is the largest difference between the clocks of nodes.
const ClockLeeway = time.Minute

// fresh reports whether a session began after the user was asked to sign in again.
// Another node may have stored either time, by its own clock. If the user was asked,
// the session before is refused, and any other session is a new one, whatever the
// clocks say.
func (a *Authorization) fresh(s *session.Session) bool {
	switch {
	case a.authTime:
		return AuthenticatedSince(s, a.AuthAfter)
	case a.mustAsk, a.wasAsked && s.ID() == a.sessionBefore:
		return false
	case a.wasAsked:
		return !s.Begun().Before(a.AuthAfter.Add(-ClockLeeway))
	}
	return !s.Begun().Before(a.AuthAfter)
}

// formPost is the response mode of OAuth 2.0 Form Post Response Mode.
const formPost = "form_post"

// setMode sets the response mode before any other check, since errors are delivered
// like answers. A form cannot be posted to an application with a custom scheme.
func (a *Authorization) setMode(r OpenIDRequest) {
	a.FormPost = r.ResponseMode == formPost && !a.CustomScheme()
}

// responseMode is how the answer is delivered.
func (a *Authorization) responseMode() string {
	if a.FormPost {
		return formPost
	}
	return a.defaultMode()
}

// defaultMode is the default response mode (OAuth 2.0 Multiple Response Type Encoding
// Practices section 2.1).
func (a *Authorization) defaultMode() string {
	if a.Token {
		return "fragment"
	}
	return "query"
}

// Answer is the redirect URI with encoded parameters: in the fragment if they are
// tokens, otherwise in the query.
func (a *Authorization) Answer(params string) string {
	if a.Token {
		return a.RedirectURI + "#" + params
	}
	return a.RedirectURI + querySeparator(a.RedirectURI) + params
}

// CustomScheme reports whether an application with a custom scheme gets the answer,
// so that the browser stays on its page.
func (a *Authorization) CustomScheme() bool {
	return !strings.EqualFold(a.Redirect.URL.Scheme, "https") && !strings.EqualFold(a.Redirect.URL.Scheme, "http")
}
