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
	// ID is a positive decimal integer, as the Login API has it.
	ID string

	// Name is what people read on the sign-in page.
	Name string

	// Public says that the client has no secret and proves by PKCE that it is
	// the one that asked.
	Public bool
	Secret Secret

	// AllowNoPKCE lets a public client leave PKCE out, which older clients need.
	AllowNoPKCE bool

	// Methods are the IDs of the sign-in methods that count for it; empty: all do.
	// A product of licensed software goes by its customer account's instead.
	Methods []string

	// Disabled refuses every request of the client.
	Disabled bool

	RedirectURIs []RedirectURI
	FailAuthURLs []FailAuthURL

	// PostLogoutRedirectURIs are where the browser may go from a sign-out that
	// the client asked for, beside the FailAuthURLs.
	PostLogoutRedirectURIs []RedirectURI

	// Audiences are what the `aud` of its tokens may hold; the first is the
	// default.
	Audiences []string

	// DefaultAudience lets requests of the Login API leave the audience out, too:
	// it is the first one.
	DefaultAudience bool

	// Scopes are what it may ask for; "*" is everything.
	Scopes []string

	// ScopeTexts are the operator's words for scopes, on pages. They follow "will be
	// able to".
	ScopeTexts map[string]string

	// Consent says when users are asked on the consent page; empty: never.
	Consent ConsentMode

	// TokenAlg signs its tokens. HS256 is for access tokens alone, by HS256Key;
	// its ID tokens are signed with RS256, since OpenID Connect's HS256 has
	// another key (Core section 10.1).
	TokenAlg keys.Algorithm
	HS256Key *keys.SharedKey

	// TokenLifetime and RefreshLifetime are how long its tokens are good for:
	// see the constants of these names, which zero stands for.
	TokenLifetime   time.Duration
	RefreshLifetime time.Duration

	// Claims are what its access tokens have beside those of the Login API.
	Claims []CustomClaim

	// Project is a UUID for `xsolla_login_project_id` and the keys endpoint;
	// empty: the ID stands for it.
	Project string
}

func (c *Client) tokenLifetime() time.Duration {
	if c.TokenLifetime <= 0 {
		return TokenLifetime
	}
	return c.TokenLifetime
}

// idTokenAlg signs the client's ID tokens.
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

// Accepts says whether a user who signed in as this one did counts here.
func (c *Client) Accepts(u session.User) bool {
	return len(c.Methods) == 0 || slices.Contains(c.Methods, u.Signin)
}

// A Secret is a client secret that cannot be printed. The zero value matches
// nothing.
type Secret struct {
	sum   [sha256.Size]byte
	set   bool
	short bool
}

// minSecret is how many bytes a secret has at least, so that it cannot be
// guessed within any limit.
const minSecret = 16

// NewSecret keeps the digest of a client secret.
func NewSecret(s string) Secret {
	return Secret{sum: sha256.Sum256([]byte(s)), set: s != "", short: len(s) < minSecret}
}

// Equal says whether one of those presented is the secret. It compares all of
// them, in constant time.
func (s Secret) Equal(presented ...string) bool {
	equal := 0
	for _, p := range presented {
		sum := sha256.Sum256([]byte(p))
		equal |= subtle.ConstantTimeCompare(s.sum[:], sum[:])
	}
	return equal == 1 && s.set
}

// Format keeps the digest from being printed, under every verb.
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

// HasOrigin says whether a web origin is that of one of the client's redirect
// URIs.
func (c *Client) HasOrigin(origin string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(r RedirectURI) bool { return r.Origin() != "" && r.Origin() == origin })
}

// Origins are the web origins of all that is registered for the client.
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

// FailAuthURL says whether a browser without a session may be sent there.
func (c *Client) FailAuthURL(requested string) bool {
	return slices.ContainsFunc(c.FailAuthURLs, func(f FailAuthURL) bool { return f.Matches(requested) })
}

// AfterSignOut is where the browser goes from a sign-out that the client asked
// for: a registered URI, with the state unless that is empty (OpenID Connect
// RP-Initiated Logout section 3). False: it is not registered.
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

// defaultAudience is the `aud` of tokens that were asked for without one.
func (c *Client) defaultAudience() string {
	if len(c.Audiences) == 0 {
		return c.ID
	}
	return c.Audiences[0]
}

// ProjectID is the client's project, or its ID where it has none.
func (c *Client) ProjectID() string {
	if c.Project != "" {
		return c.Project
	}
	return c.ID
}

// grantable returns those of the asked scopes that the client is registered
// for, each once, in the order asked.
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

// Clients are the registered applications. It is made once and only read.
type Clients struct {
	byID      map[string]*Client
	byProject map[string]*Client // one of those that share it
	origins   map[string]bool    // of the clients that are enabled
	asking    []*Client          // whose users are asked for their consent
}

// NewClients registers applications and refuses what cannot work, with the
// client's ID and what would be right.
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
			cs.asking = append(cs.asking, c)
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
	if c.Public && len(c.RedirectURIs) == 0 { // a server may want tokens of its own alone
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

// maxScopeText bounds, in bytes, the words for a scope.
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

// TokenAlgs are the algorithms that a client's tokens can be signed with.
var TokenAlgs = []keys.Algorithm{keys.RS256, keys.ES256, keys.EdDSA, keys.HS256}

func (c *Client) validateTokens() error {
	if !slices.Contains(TokenAlgs, c.TokenAlg) {
		return fmt.Errorf("token_alg %q is unknown; use RS256, ES256, EdDSA or HS256", c.TokenAlg)
	}
	if c.TokenAlg == keys.HS256 && c.HS256Key == nil {
		return fmt.Errorf("token_alg HS256 takes an hs256_key, which the backends that verify its tokens have, too")
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
			return fmt.Errorf("claim %s is there twice", e.Name)
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

// RegisteredOrigin says whether a web origin is that of a registered redirect
// URI, of a client that is not disabled. Loopback addresses that match any port are no origin.
func (cs *Clients) RegisteredOrigin(origin string) bool {
	return cs.origins[origin]
}

// Algorithms are the signing algorithms for which the clients need keys of the
// portal.
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
