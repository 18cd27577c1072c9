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

// An AuthorizeRequest is what a client asks of the authorization endpoint:
// well-formed, and otherwise unchecked.
type AuthorizeRequest struct {
	ResponseType string
	ClientID     string
	RedirectURI  string
	State        string

	// Scope is nil where the parameter is missing, and empty where it is there
	// and asks for nothing.
	Scope []string

	// Audience holds the values as sent, each still URL-encoded.
	Audience []string

	CodeChallenge       string
	CodeChallengeMethod string

	// FailAuthURL is where the browser goes when there is no session, in place
	// of the hosted page.
	FailAuthURL string

	// Optional says that redirect_uri, scope and audience may be left out, though
	// the client is not known by whose registration [Clients.Defaults] fills them in.
	Optional bool

	// Malformed is what was wrong with parameters that could not be read, and
	// are left out; nil: all could.
	Malformed *Error

	// Popup leads by way of the widget page. The others change what the hosted
	// page and the widget show, never the answer.
	Popup            bool
	WidgetOnly       bool
	PostMessageLogin bool
	DisableSocials   bool
}

// An Authorization is a request that its client may make.
type Authorization struct {
	Client       *Client
	Redirect     RedirectURI // the registration that matched
	RedirectURI  string      // as requested; differs from Redirect.Raw by a loopback port at most
	State        string
	Scopes       []string // granted: asked for and registered
	LeftOut      []string // asked for and not registered
	Audience     []string
	Challenge    string
	FailAuthURL  string
	Presentation Presentation

	// Where it came by OpenID Connect: see [OpenIDRequest].
	OpenID    bool
	Token     bool // response type "id_token token": the answer is tokens, in the fragment
	Nonce     string
	LoginHint string
	Silent    bool // prompt=none: nothing may be shown

	// FormPost says that the answer is posted to the redirect URI by a form (OAuth
	// 2.0 Form Post Response Mode).
	FormPost bool

	// OfflineAccess says that scope offline was asked for as offline_access.
	OfflineAccess bool
	Confirm       bool // the user is to be asked even though there is a session
	PromptConsent bool // prompt=consent: the consent page shows in any case

	// What the session has to be like; zero values: any session will do.
	Subject      string                    // whose it is
	other        func(session.User) string // another subject of theirs; nil: nobody has one
	Methods      []string                  // the IDs of the sign-in methods that count
	EmailDomains []string                  // in lower case
	AuthAfter    time.Time                 // it began no earlier
	again        bool                      // the user has to be asked for it first
	asked        bool                      // the user was asked for it since
	authNot      string                    // the ID of the session of before

	// License is set where licensed software asked, by way of the License API.
	License *LicenseRequest
}

// Accepts says whether a request is content with a live session. Where it is
// not, the user signs in anew.
func (a *Authorization) Accepts(in SignedIn) bool {
	return a.AcceptsUser(in.User) && a.fresh(in.Session)
}

// AcceptsUser says whether a request may be answered for a user who signed in
// as this one did.
func (a *Authorization) AcceptsUser(u session.User) bool {
	if len(a.Methods) > 0 && !slices.Contains(a.Methods, u.Signin) || !a.Expects(u) {
		return false
	}
	if len(a.EmailDomains) == 0 {
		return true
	}
	// An address with two @ is none: one program would read the first, and
	// another the last.
	name, domain, found := strings.Cut(u.Email, "@")
	return found && name != "" && !strings.Contains(domain, "@") && slices.Contains(a.EmailDomains, LowerASCII(domain))
}

// Expects says whether a user is whom the request names, or it names nobody.
func (a *Authorization) Expects(u session.User) bool {
	return a.Subject == "" || same(a.Subject, u.Subject) || a.other != nil && same(a.Subject, a.other(u))
}

// Presentation is how the pages of a sign-in look and how the result travels.
type Presentation struct {
	Popup            bool
	WidgetOnly       bool
	PostMessageLogin bool
	DisableSocials   bool
}

// MinStateLength is the fewest characters a state has (error 010-022).
const MinStateLength = 8

// CheckAuthorize holds a request against the registration of its client. The
// client and its redirect URI come first, so that no other error can be used to
// learn about or redirect to what is not registered; what else is wrong is said
// with the first error.
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
		Presentation: Presentation{
			Popup: r.Popup, WidgetOnly: r.WidgetOnly,
			PostMessageLogin: r.PostMessageLogin, DisableSocials: r.DisableSocials,
		},
	}, nil
}

// CheckTokenLogin is CheckAuthorize for a request that is answered with tokens
// at once, to who sent the password: no redirect, state or PKCE.
func (cs *Clients) CheckTokenLogin(r AuthorizeRequest) (*Authorization, *Error) {
	c, refusal := cs.enabled(r.ClientID)
	if c != nil && !c.Public {
		refusal = &Error{Kind: UnauthorizedClient, Description: "This call is for public clients; one with a secret redeems a code."}
	}
	if c != nil && c.AsksConsent() {
		refusal = &Error{Kind: UnauthorizedClient, Description: "This client asks its users for their consent on a page, which this call has none of: use a code."}
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

// enabled finds the client of a request: nil, with an error, where there is none
// that may be asked about.
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

// Defaults fills in what the session check for scripts may leave out: the
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

// OnlineScopes are the client's scopes without offline, which outlives a
// session and so has to be asked for. They are never nil.
func (c *Client) OnlineScopes() []string {
	return slices.DeleteFunc(append([]string{}, c.Scopes...), func(s string) bool { return s == "offline" || s == "*" })
}

// IssueCode gives the client of a checked authorization a code for the user of
// a live session. Where that user has to be asked first, it is refused with
// [ConsentRequired].
func (s *Server) IssueCode(ctx context.Context, a *Authorization, in SignedIn, from Origin) (string, *Error) {
	if !a.AcceptsUser(in.User) {
		return "", unaccepted()
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

// unaccepted refuses a user whose way of signing in does not count. Faces
// ask for another sign-in before it comes to this.
func unaccepted() *Error {
	return &Error{Kind: LoginRequired, Description: "The user signed in by a way that does not count for this client."}
}

// Callback is the redirect URI with a code, which is base64url and needs no
// escaping, and the unchanged state.
func (a *Authorization) Callback(code string) string {
	return a.RedirectURI + querySeparator(a.RedirectURI) + "code=" + code + "&state=" + escape(a.State)
}

// DeniedCallback is the redirect URI, told that the user does not allow what was
// asked for.
func (a *Authorization) DeniedCallback() string {
	return a.RedirectURI + querySeparator(a.RedirectURI) + "error=access_denied&error_code=010-026&error_description=" +
		escape(NotAllowed().Description) + "&state=" + escape(a.State)
}

// FailCallback is the fail_auth_url, told why and how to go on: resume
// continues the request once there is a session.
func (a *Authorization) FailCallback(resume string) string {
	return AppendQuery(a.FailAuthURL, "error=login_required&error_code=003-040&error_description="+
		escape("There is no session. Sign in, then continue at resume.")+
		"&resume="+escape(resume)+"&state="+escape(a.State))
}

// escape encodes a value of a query. A space becomes %20, which every decoder
// reads as a space; of "+" only those of forms do.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// SplitList splits a parameter that is a list separated by spaces. The answer
// is never nil.
func SplitList(s string) []string {
	list := []string{}
	for value := range strings.SplitSeq(s, " ") {
		if value != "" {
			list = append(list, value)
		}
	}
	return list
}

// isInteger says whether s is a decimal number, as a client_id is.
func isInteger(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// newID makes an identifier of 128 random bits that need not be secret.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails: crypto/rand aborts the program instead
	var encoded [22]byte
	base64.RawURLEncoding.Encode(encoded[:], b[:])
	return string(encoded[:])
}
