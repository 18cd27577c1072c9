package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// A Client is a registered application.
type Client struct {
	// ID is a positive decimal integer, as in the Login API.
	ID string

	// Name is the name on the sign-in page.
	Name string

	// Public means that the client has no secret, and must use PKCE.
	Public bool
	Secret Secret

	// AllowNoPKCE allows a public client to omit PKCE, which older clients need.
	AllowNoPKCE bool

	// Methods are the IDs of the allowed sign-in methods. Empty: all. For licensed
	// software, those of the customer account are used instead.
	Methods []string

	// Disabled refuses every request of the client.
	Disabled bool

	RedirectURIs []RedirectURI
	FailAuthURLs []FailAuthURL

	// PostLogoutRedirectURIs are the URIs that the browser may be sent to after a
	// sign-out that the client requested, beside the FailAuthURLs.
	PostLogoutRedirectURIs []RedirectURI

	// Audiences are the allowed audiences of its tokens. The first is the default.
	Audiences []string

	// DefaultAudience allows requests of the Login API to omit the audience, too.
	DefaultAudience bool

	// Scopes are the scopes that it may request; "*" allows all.
	Scopes []string

	// ScopeTexts are the operator's texts for scopes on pages. They follow "will be
	// able to".
	ScopeTexts map[string]string

	// Consent is when the consent page asks users. Empty: never.
	Consent ConsentMode

	// TokenAlg is the signature algorithm of its tokens. HS256, with HS256Key, is
	// only for access tokens; then ID tokens are signed with RS256, since HS256 of
	// OpenID Connect uses another key (Core section 10.1).
	TokenAlg keys.Algorithm
	HS256Key *keys.SharedKey

	// TokenLifetime and RefreshLifetime are the lifetimes of its tokens. Zero: the
	// constants of these names.
	TokenLifetime   time.Duration
	RefreshLifetime time.Duration

	// Claims are the custom claims of its access tokens.
	Claims []CustomClaim

	// Project is a UUID for `xsolla_login_project_id` and the keys endpoint. Empty:
	// the ID is used.
	Project string
}

func (c *Client) tokenLifetime() time.Duration {
	if c.TokenLifetime <= 0 {
		return TokenLifetime
	}
	return c.TokenLifetime
}

// idTokenAlg is the signature algorithm of the client's ID tokens.
func (c *Client) idTokenAlg() keys.Algorithm {
	if c.TokenAlg == keys.HS256 {
		return keys.RS256
	}
	return c.TokenAlg
}

func (c *Client) refreshLifetime() time.Duration {
	if c.RefreshLifetime <= 0 {
		return RefreshLifetime
	}
	return c.RefreshLifetime
}

// Accepts reports whether the client accepts the sign-in method of a user.
func (c *Client) Accepts(u session.User) bool {
	return len(c.Methods) == 0 || slices.Contains(c.Methods, u.Signin)
}

// A Secret is a client secret. It prints as [redacted]. The zero value matches no
// secret.
type Secret struct {
	sum   [sha256.Size]byte
	set   bool
	short bool
}

// minSecret is the minimal length of a secret, in bytes, so that it cannot be
// guessed.
const minSecret = 16

// NewSecret returns a Secret, which has only the digest of the client secret.
func NewSecret(s string) Secret {
	return Secret{sum: sha256.Sum256([]byte(s)), set: s != "", short: len(s) < minSecret}
}

// Equal reports whether one of the presented values is the secret. It compares all of
// them, in constant time.
func (s Secret) Equal(presented ...string) bool {
	equal := 0
	for _, p := range presented {
		sum := sha256.Sum256([]byte(p))
		equal |= subtle.ConstantTimeCompare(s.sum[:], sum[:])
	}
	return equal == 1 && s.set
}

// Format prints [redacted] with every verb.
func (Secret) Format(f fmt.State, _ rune) {
	io.WriteString(f, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// RedirectURI returns the registration that a requested URI matches.
func (c *Client) RedirectURI(requested string) (RedirectURI, bool) {
	for _, r := range c.RedirectURIs {
		if r.Matches(requested) {
			return r, true
		}
	}
	return RedirectURI{}, false
}

// HasOrigin reports whether one of the client's redirect URIs has a web origin.
func (c *Client) HasOrigin(origin string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(r RedirectURI) bool { return r.Origin() != "" && r.Origin() == origin })
}

// Origins are the web origins of all registered URIs of the client.
func (c *Client) Origins() []string {
	var origins []string
	add := func(origin string) {
		if origin != "" && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	for _, r := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs) {
		add(r.Origin())
	}
	for _, f := range c.FailAuthURLs {
		add(OriginOf(f.URL))
	}
	return origins
}

// FailAuthURL reports whether a URL is registered for browsers without a session.
func (c *Client) FailAuthURL(requested string) bool {
	return slices.ContainsFunc(c.FailAuthURLs, func(f FailAuthURL) bool { return f.Matches(requested) })
}

// AfterSignOut is the URL that the browser is sent to after a sign-out that the
// client requested: a registered URI, with the state unless that is empty (OpenID
// Connect RP-Initiated Logout section 3). It returns false for an unregistered URI.
func (c *Client) AfterSignOut(requested, state string) (string, bool) {
	registered := slices.ContainsFunc(c.PostLogoutRedirectURIs, func(r RedirectURI) bool { return r.Matches(requested) })
	if !registered && !c.FailAuthURL(requested) {
		return "", false
	}
	if state == "" {
		return requested, true
	}
	return AppendQuery(requested, "state="+escape(state)), true
}

// defaultAudience is the audience of tokens that were requested without one.
func (c *Client) defaultAudience() string {
	if len(c.Audiences) == 0 {
		return c.ID
	}
	return c.Audiences[0]
}

// ProjectID is the client's project, or its ID if it has none.
func (c *Client) ProjectID() string {
	if c.Project != "" {
		return c.Project
	}
	return c.ID
}

// grantable returns the requested scopes that the client is registered for, each
// once, in the requested order.
func (c *Client) grantable(asked []string) []string {
	all := slices.Contains(c.Scopes, "*")
	granted := make([]string, 0, len(asked))
	for _, s := range asked {
		if (all || slices.Contains(c.Scopes, s)) && !slices.Contains(granted, s) {
			granted = append(granted, s)
		}
	}
	return granted
}

// Clients are the registered applications. It is immutable.
type Clients struct {
	byID        map[string]*Client
	byProject   map[string]*Client // one of the clients with the project
	origins     map[string]bool    // of enabled clients
	needConsent []*Client          // the clients that need consent
}

// NewClients registers applications. It refuses what cannot work; the error has the
// client's ID and the remedy.
func NewClients(list []*Client) (*Clients, error) {
	cs := &Clients{byID: make(map[string]*Client, len(list)), byProject: map[string]*Client{}, origins: map[string]bool{}}
	for _, c := range list {
		if err := c.validate(); err != nil {
			return nil, fmt.Errorf("client %s: %w", c.ID, err)
		}
		if cs.byID[c.ID] != nil {
			return nil, fmt.Errorf("client %s: defined twice; every client has an ID of its own", c.ID)
		}
		cs.byID[c.ID] = c
		if c.AsksConsent() {
			cs.needConsent = append(cs.needConsent, c)
		}
		if c.Project != "" {
			if other, taken := cs.byProject[c.Project]; taken && other.TokenAlg != c.TokenAlg {
				return nil, fmt.Errorf("client %s: shares project %s with client %s, so both need the same token_alg", c.ID, c.Project, other.ID)
			}
			cs.byProject[c.Project] = c
		}
		for _, r := range c.RedirectURIs {
			if o := r.Origin(); o != "" && !c.Disabled {
				cs.origins[o] = true
			}
		}
	}
	return cs, nil
}

func (c *Client) validate() error {
	if n, err := strconv.ParseUint(c.ID, 10, 63); err != nil || n == 0 || strconv.FormatUint(n, 10) != c.ID {
		return fmt.Errorf("the ID %q is not a positive integer, which the Login API's client_id has to be; write for example: client 1", c.ID)
	}
	if c.Public && c.Secret.set {
		return fmt.Errorf("is both public and has a secret; remove one of the two")
	}
	if !c.Public && !c.Secret.set {
		return fmt.Errorf("has neither a secret nor the word public; a game or browser client is public, a server has a secret")
	}
	if c.Secret.set && c.Secret.short {
		return fmt.Errorf("the secret is shorter than %d characters; make one with: openssl rand -hex 32", minSecret)
	}
	if c.Public && len(c.RedirectURIs) == 0 { // a client with a secret may need only its own tokens
		return fmt.Errorf("has no redirect_uri; add the URL that codes are sent to")
	}
	if err := c.validateTokens(); err != nil {
		return err
	}
	for _, v := range slices.Concat(c.Audiences, c.Scopes) {
		if v == "" || !CleanText(v) {
			return fmt.Errorf("audience or scope %q is empty or has control characters", v)
		}
	}
	return c.validateConsent()
}

// maxScopeText bounds, in bytes, the text for a scope.
const maxScopeText = 200

func (c *Client) validateConsent() error {
	if err := c.Consent.Check(); err != nil {
		return err
	}
	for _, scope := range slices.Sorted(maps.Keys(c.ScopeTexts)) {
		text := c.ScopeTexts[scope]
		switch {
		case scope != "openid" && len(c.grantable([]string{scope})) == 0:
			return fmt.Errorf("scope_text %q: the client has no such scope; add: scope %s", scope, scope)
		case strings.TrimSpace(text) == "" || len(text) > maxScopeText || !CleanText(text):
			return fmt.Errorf("scope_text %q: %q is empty, longer than %d bytes, or has control characters; expected words that follow \"will be able to\"", scope, text, maxScopeText)
		}
	}
	return nil
}

// TokenAlgs are the algorithms for a client's tokens.
var TokenAlgs = []keys.Algorithm{keys.RS256, keys.ES256, keys.EdDSA, keys.HS256}

func (c *Client) validateTokens() error {
	if !slices.Contains(TokenAlgs, c.TokenAlg) {
		return fmt.Errorf("token_alg %q is unknown; use RS256, ES256, EdDSA or HS256", c.TokenAlg)
	}
	if c.TokenAlg == keys.HS256 && c.HS256Key == nil {
		return fmt.Errorf("token_alg HS256 takes an hs256_key, the key that it shares with the backends that verify its tokens")
	}
	if c.TokenAlg != keys.HS256 && c.HS256Key != nil {
		return fmt.Errorf("hs256_key is for token_alg HS256, and token_alg is %s", c.TokenAlg)
	}
	if c.TokenLifetime < 0 || c.TokenLifetime > MaxTokenLifetime {
		return fmt.Errorf("token_lifetime %v: expected at most %v; refresh tokens are for longer", c.TokenLifetime, MaxTokenLifetime)
	}
	if c.RefreshLifetime < 0 || c.RefreshLifetime > maxRefreshLifetime {
		return fmt.Errorf("refresh_lifetime %v: expected at most %v", c.RefreshLifetime, maxRefreshLifetime)
	}
	for i, e := range c.Claims {
		if err := e.validate(); err != nil {
			return err
		}
		if slices.ContainsFunc(c.Claims[:i], func(other CustomClaim) bool { return other.Name == e.Name }) {
			return fmt.Errorf("duplicate claim %s", e.Name)
		}
	}
	return nil
}

// Get returns a client by its ID.
func (cs *Clients) Get(id string) (*Client, bool) {
	c, ok := cs.byID[id]
	return c, ok
}

// ByProject returns a client by its project or ID.
func (cs *Clients) ByProject(id string) (*Client, bool) {
	if c, ok := cs.byID[id]; ok {
		return c, true
	}
	c, ok := cs.byProject[id]
	return c, ok
}

// RegisteredOrigin reports whether a redirect URI of an enabled client has a web
// origin. Loopback addresses that match any port have none.
func (cs *Clients) RegisteredOrigin(origin string) bool {
	return cs.origins[origin]
}

// Algorithms are the signature algorithms for which the portal needs keys.
func (cs *Clients) Algorithms() []keys.Algorithm {
	var algs []keys.Algorithm
	for _, c := range cs.byID {
		if alg := c.idTokenAlg(); !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	slices.Sort(algs)
	return algs
}
