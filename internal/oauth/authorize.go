package oauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/session"
)

// An AuthorizeRequest is a well-formed, but otherwise unchecked request to the
// authorization endpoint.
type AuthorizeRequest struct {
	ResponseType string
	ClientID     string
	RedirectURI  string
	State        string

	// Scope is nil if the parameter is missing, and empty if it has no scope.
	Scope []string

	// Audience has the values as sent, each still URL-encoded.
	Audience []string

	CodeChallenge       string
	CodeChallengeMethod string

	// FailAuthURL is where the browser is sent without a session, in place of the
	// hosted page.
	FailAuthURL string

	// AuthAfter is the time since when the user must have been authenticated. Zero: any
	// time.
	AuthAfter time.Time

	// Optional means that redirect_uri, scope and audience may be missing, because
	// [Clients.Defaults] fills them in as soon as the client is known.
	Optional bool

	// Malformed has the faults of malformed parameters, which are left out. Nil:
	// there are none.
	Malformed *Error

	// Popup ends the flow on the widget page. The other fields change only what the
	// hosted page and the widget show.
	Popup            bool
	WidgetOnly       bool
	PostMessageLogin bool
	DisableSocials   bool
}

// An Authorization is a request that was checked against the registration of its client.
type Authorization struct {
	Client       *Client
	Redirect     RedirectURI // the registration that matched
	RedirectURI  string      // as requested; differs from Redirect.Raw by a loopback port at most
	State        string
	Scopes       []string // granted: requested and registered
	LeftOut      []string // requested, but not registered
	Audience     []string
	Challenge    string
	FailAuthURL  string
	Presentation Presentation

	// Of a request by OpenID Connect: see [OpenIDRequest].
	OpenID    bool
	Token     bool // response type "id_token token": the answer is tokens, in the fragment
	Nonce     string
	LoginHint string
	Silent    bool // prompt=none: no page may be shown

	// FormPost means that a form posts the answer to the redirect URI (OAuth 2.0 Form
	// Post Response Mode).
	FormPost bool

	// OfflineAccess means that the scope offline was requested as offline_access.
	OfflineAccess bool
	Confirm       bool // ask the user even if there is a session
	PromptConsent bool // prompt=consent: always show the consent page

	// Requirements for the session; zero values: none.
	Subject       string                    // the subject of the user
	otherSubject  func(session.User) string // the user's other subject; nil: there is none
	Methods       []string                  // the IDs of the allowed sign-in methods
	EmailDomains  []string                  // in lower case
	AuthAfter     time.Time                 // it began at this time or later
	mustAsk       bool                      // the user must first be asked for a new sign-in
	wasAsked      bool                      // the user was asked since then
	sessionBefore string                    // the ID of the session before that
	authTime      bool                      // AuthAfter is about the time of authentication

	// License is set for a request of licensed software by the License API.
	License *LicenseRequest
}

// Accepts reports whether a live session meets the requirements of a request. If not,
// the user must sign in again.
func (a *Authorization) Accepts(in SignedIn) bool {
	return a.AcceptsUser(in.User) && a.fresh(in.Session)
}

// AcceptsUser reports whether a request may be answered for a user who signed in this
// way.
func (a *Authorization) AcceptsUser(u session.User) bool {
	if len(a.Methods) > 0 && !slices.Contains(a.Methods, u.Signin) || !a.Expects(u) {
		return false
	}
	if len(a.EmailDomains) == 0 {
		return true
	}
	// An address with two @ is refused: one program would use the first, another the
	// last.
	name, domain, found := strings.Cut(u.Email, "@")
	return found && name != "" && !strings.Contains(domain, "@") && slices.Contains(a.EmailDomains, LowerASCII(domain))
}

// Expects reports whether a user is the one that the request names. It is true if the request names no user.
func (a *Authorization) Expects(u session.User) bool {
	return a.Subject == "" || constantTimeEqual(a.Subject, u.Subject) || a.otherSubject != nil && constantTimeEqual(a.Subject, a.otherSubject(u))
}

// Presentation is how the pages of a sign-in look, and how the result is delivered.
type Presentation struct {
	Popup            bool
	WidgetOnly       bool
	PostMessageLogin bool
	DisableSocials   bool
}

// MinStateLength is the minimal length of a state (error 010-022).
const MinStateLength = 8

// CheckAuthorize checks a request against the registration of its client. It checks
// the client and the redirect URI first, so that no other error tells about
// unregistered values or redirects to them. The error has all faults.
func (cs *Clients) CheckAuthorize(r AuthorizeRequest) (*Authorization, *Error) {
	c, refusal := cs.enabled(r.ClientID)
	wrong := r.Malformed.And(refusal)
	redirect, refusal := c.checkRedirectURI(r.RedirectURI, r.Optional)
	wrong = wrong.And(refusal).And(r.checkShape())
	audience, refusal := c.audience(r.Audience, r.Optional)
	wrong = wrong.And(refusal).And(c.checkChallenge(r.CodeChallenge, r.CodeChallengeMethod)).And(c.checkFailAuthURL(r.FailAuthURL))
	if wrong != nil {
		return nil, wrong
	}
	scopes := c.grantable(r.Scope)
	return &Authorization{
		Client:      c,
		Redirect:    redirect,
		RedirectURI: r.RedirectURI,
		State:       r.State,
		Scopes:      scopes,
		LeftOut:     droppedScopes(r.Scope, scopes),
		Audience:    audience,
		Challenge:   r.CodeChallenge,
		FailAuthURL: r.FailAuthURL,
		Methods:     c.Methods,
		AuthAfter:   r.AuthAfter,
		authTime:    !r.AuthAfter.IsZero(),
		Presentation: Presentation{
			Popup: r.Popup, WidgetOnly: r.WidgetOnly,
			PostMessageLogin: r.PostMessageLogin, DisableSocials: r.DisableSocials,
		},
	}, nil
}

// CheckTokenLogin is CheckAuthorize for a request with a password that is answered
// with tokens: it has no redirect, state or PKCE.
func (cs *Clients) CheckTokenLogin(r AuthorizeRequest) (*Authorization, *Error) {
	c, refusal := cs.enabled(r.ClientID)
	if c != nil && !c.Public {
		refusal = &Error{Kind: UnauthorizedClient, Description: "This call is for public clients; one with a secret redeems a code."}
	}
	if c != nil && c.AsksConsent() {
		refusal = &Error{Kind: UnauthorizedClient, Description: "This client needs the user's consent on a page, and this call has no page; use a code."}
	}
	wrong := r.Malformed.And(refusal)
	redirect, refusal := c.checkRedirectURI(r.RedirectURI, r.Optional)
	wrong = wrong.And(refusal)
	audience, refusal := c.audience(r.Audience, r.Optional)
	if wrong = wrong.And(refusal); wrong != nil {
		return nil, wrong
	}
	scopes := c.grantable(r.Scope)
	return &Authorization{
		Client: c, Redirect: redirect, RedirectURI: r.RedirectURI, State: r.State, Scopes: scopes, LeftOut: droppedScopes(r.Scope, scopes), Audience: audience,
		Methods: c.Methods,
	}, nil
}

// enabled finds the client of a request. It returns nil and an error if there is
// none, or it is disabled.
func (cs *Clients) enabled(id string) (*Client, *Error) {
	c, known := cs.Get(id)
	switch {
	case id == "":
		return nil, MissingParam("client_id")
	case !known && !isInteger(id):
		return nil, InvalidParam("client_id", "should be an integer.")
	case !known:
		return nil, &Error{Kind: UnknownClient, Description: "Object not found."}
	case c.Disabled:
		return nil, &Error{Kind: ClientDisabled, Description: "This call is not available for the project."}
	}
	return c, nil
}

// Defaults fills in the parameters that the session check for scripts may omit: the
// client's first redirect URI, its scopes without offline, its first audience.
func (cs *Clients) Defaults(r AuthorizeRequest) AuthorizeRequest {
	c, known := cs.Get(r.ClientID)
	if !known {
		r.Optional = true
		return r
	}
	if r.RedirectURI == "" && len(c.RedirectURIs) > 0 {
		r.RedirectURI = c.RedirectURIs[0].Raw
	}
	if r.Scope == nil {
		r.Scope = c.OnlineScopes()
	}
	if len(r.Audience) == 0 && len(c.Audiences) > 0 {
		r.Audience = []string{url.QueryEscape(c.Audiences[0])}
	}
	return r
}

// OnlineScopes returns the client's scopes without offline, which must be requested
// explicitly. It never returns nil.
func (c *Client) OnlineScopes() []string {
	return slices.DeleteFunc(append([]string{}, c.Scopes...), func(s string) bool { return s == "offline" || s == "*" })
}

// IssueCode issues a code to the client of a checked authorization, for the user of a
// live session. If the user must be asked first, the error is [ConsentRequired].
func (s *Server) IssueCode(ctx context.Context, a *Authorization, in SignedIn, from Origin) (string, *Error) {
	if !a.AcceptsUser(in.User) {
		return "", methodNotAccepted()
	}
	if refusal := s.useConsent(ctx, a, in); refusal != nil {
		return "", refusal
	}
	s.noteDropped(a.Client, a.LeftOut, from)
	grant := newGrantID(a.Client)
	code, err := s.Codes.Issue(ctx, codes.Record{
		Client:      a.Client.ID,
		RedirectURI: a.RedirectURI,
		Challenge:   a.Challenge,
		Session:     in.Session.Key(),
		Subject:     in.User.Subject,
		Grant:       grant,
		Scopes:      a.Scopes,
		Audience:    a.Audience,
		Nonce:       a.Nonce,

		OfflineAccess: a.OfflineAccess,

		AuthTime: in.Session.Begun(),
		Product:  a.License.product(),
		Account:  a.License.account(),
	}, s.Limits)

	var full *codes.FullError
	switch {
	case errors.As(err, &full):
		s.Audit.Record(Event{What: CodesExhausted, User: in.User, Client: a.Client, Session: in.Session, From: from})
		return "", &Error{Kind: TooManyCodes, Description: "Too many codes are waiting to be used.", RetryAfter: full.RetryAfter}
	case err != nil:
		return "", Unavailable(err)
	}
	s.Audit.Record(Event{What: CodeIssued, User: in.User, Client: a.Client, Session: in.Session, Grant: grant, From: from})
	return code, nil
}

// methodNotAccepted refuses a user whose sign-in method is not allowed. HTTP API packages
// ask for another sign-in before.
func methodNotAccepted() *Error {
	return &Error{Kind: LoginRequired, Description: "The client does not accept the sign-in method of this user."}
}

// Callback is the redirect URI with a code and the unchanged state. The code is
// base64url, and needs no escaping.
func (a *Authorization) Callback(code string) string {
	return a.RedirectURI + querySeparator(a.RedirectURI) + "code=" + code + "&state=" + escape(a.State)
}

// DeniedCallback is the redirect URI with the error that the user denied the request.
func (a *Authorization) DeniedCallback() string {
	return a.RedirectURI + querySeparator(a.RedirectURI) + "error=access_denied&error_code=010-026&error_description=" +
		escape(NotAllowed().Description) + "&state=" + escape(a.State)
}

// FailCallback is the fail_auth_url with the reason, and with resume, the URL that
// continues the request after the sign-in.
func (a *Authorization) FailCallback(resume string) string {
	return AppendQuery(a.FailAuthURL, "error=login_required&error_code=003-040&error_description="+
		escape("There is no session. Sign in, then continue at resume.")+
		"&resume="+escape(resume)+"&state="+escape(a.State))
}

// escape encodes a value of a query. A space becomes %20, which every decoder reads
// as a space; only form decoders do so for "+".
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// SplitList splits a parameter with a list separated by spaces. It never returns nil.
func SplitList(s string) []string {
	list := []string{}
	for value := range strings.SplitSeq(s, " ") {
		if value != "" {
			list = append(list, value)
		}
	}
	return list
}

// isInteger reports whether s is a decimal number, as a client_id is.
func isInteger(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// newID returns a random ID of 128 bits that is not secret.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails: crypto/rand aborts the program instead
	var encoded [22]byte
	base64.RawURLEncoding.Encode(encoded[:], b[:])
	return string(encoded[:])
}
