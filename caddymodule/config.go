package caddymodule

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
)

// SessionConfig is how long SSO sessions live, and how many there may be.
type SessionConfig struct {
	// How long a session lasts without a request. Default: `24h`.
	Idle caddy.Duration `json:"idle,omitempty"`

	// How long a session lasts at most. Default: `30d`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// How long sessions known to this server are believed while the store does
	// not answer and may have changed. Default: `5m`.
	OutageGrace caddy.Duration `json:"outage_grace,omitempty"`

	// How many sessions are kept in memory; others are read from the store when
	// they are used. It takes effect at a restart. Default: 250000.
	Cache int `json:"cache,omitempty"`

	// How many sessions a user may have. The oldest ends, with all that hangs on
	// it, when another begins. A user may sign in 256 times in an hour, or four
	// times as often as this where that is more. At most 10000. Default: 64.
	PerUser int `json:"per_user,omitempty"`

	// The SameSite attribute of the session cookie: `lax` (default), or `none`
	// for scripts that call the Login API from another site. `none` takes an
	// https issuer; the endpoints for scripts then answer registered origins
	// only.
	SameSite string `json:"same_site,omitempty"`
}

const (
	sameSiteLax  = "lax"
	sameSiteNone = "none"
)

func (s *SessionConfig) setDefaults() {
	setDefault(&s.Idle, caddy.Duration(24*time.Hour))
	setDefault(&s.Lifetime, caddy.Duration(30*24*time.Hour))
	setDefault(&s.OutageGrace, caddy.Duration(5*time.Minute))
	setDefault(&s.Cache, 250_000)
	setDefault(&s.PerUser, 64)
	setDefault(&s.SameSite, sameSiteLax)
}

func (s *SessionConfig) validate() error {
	if s.Idle < caddy.Duration(time.Minute) || s.Lifetime < s.Idle {
		return fmt.Errorf("session: idle is %v and lifetime %v; expected idle to be at least 1m, and no longer than lifetime", time.Duration(s.Idle), time.Duration(s.Lifetime))
	}
	if s.OutageGrace < 0 || s.Cache < 0 {
		return errors.New("session: outage_grace and cache cannot be negative")
	}
	if s.PerUser < 1 || s.PerUser > session.MostPerUser {
		return fmt.Errorf("session: per_user is %d; expected 1 to %d", s.PerUser, session.MostPerUser)
	}
	if s.SameSite != sameSiteLax && s.SameSite != sameSiteNone {
		return fmt.Errorf("session: same_site %q is unknown; expected lax or none", s.SameSite)
	}
	return nil
}

// validateCookie holds what browsers demand of the session cookie.
func (s *SessionConfig) validateCookie(issuer *url.URL) error {
	if s.SameSite == sameSiteNone && issuer.Scheme != "https" {
		return errors.New("session: same_site none takes an https issuer, since browsers keep such a cookie only if it is Secure")
	}
	return nil
}

func (s *SessionConfig) policy(format records.Format) session.Policy {
	return session.Policy{
		Format: format,
		Idle:   time.Duration(s.Idle), Lifetime: time.Duration(s.Lifetime), OutageGrace: time.Duration(s.OutageGrace),
		PerUser: s.PerUser,
	}
}

// checkRecordFormat is for record_format; nothing is the default.
func checkRecordFormat(format *int) error {
	setDefault(format, int(records.JSON))
	if *format != int(records.JSON) && *format != int(records.CBOR) {
		return fmt.Errorf("record_format is %d; expected 1 or 2", *format)
	}
	return nil
}

// CodesConfig bounds authorization codes.
type CodesConfig struct {
	// How long a code can be redeemed. Default: `60s`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// How many codes may be waiting to be redeemed. When there are as many, new
	// ones are refused with 429; none is ever dropped. Default: 100000.
	Capacity int `json:"capacity,omitempty"`

	// How many of them may be of one session; a user may have four sessions'
	// worth, and redeem 640 in an hour, or ten times as many as this where that is
	// more. Default: 64.
	PerSession int `json:"per_session,omitempty"`
}

func (c *CodesConfig) setDefaults() {
	setDefault(&c.Lifetime, caddy.Duration(time.Minute))
	setDefault(&c.Capacity, 100_000)
	setDefault(&c.PerSession, 64)
}

func (c *CodesConfig) validate() error {
	if c.Lifetime < caddy.Duration(time.Second) || c.Lifetime > caddy.Duration(10*time.Minute) {
		return fmt.Errorf("codes: lifetime is %v; expected 1s to 10m (RFC 6749 section 4.1.2)", time.Duration(c.Lifetime))
	}
	if c.Capacity < 1 || c.PerSession < 1 {
		return errors.New("codes: capacity and per_session have to be positive")
	}
	return nil
}

func (c *CodesConfig) limits(format records.Format) codes.Limits {
	return codes.Limits{Format: format, Lifetime: time.Duration(c.Lifetime), Capacity: c.Capacity, PerSession: c.PerSession}
}

// BrandConfig is how the pages look.
type BrandConfig struct {
	// The name at the top of every page. Default: none.
	Name string `json:"name,omitempty"`

	// The address of a logo: an absolute path of the portal, or an https URL.
	// Default: a neutral mark.
	Logo string `json:"logo,omitempty"`

	// The colour of buttons and links, as `#rrggbb`. Text on it is chosen to be
	// readable. Default: a calm blue.
	Accent string `json:"accent,omitempty"`
}

func (b *BrandConfig) check() error {
	_, err := b.pages(nil)
	return err
}

func (b *BrandConfig) pages(failed func(error)) (*page.Pages, error) {
	pages, err := page.New(page.Brand{Name: b.Name, Logo: b.Logo, Accent: b.Accent}, page.Options{
		AssetPrefix: portal.AssetPrefix, Failed: failed,
	})
	if err != nil {
		return nil, fmt.Errorf("brand: %w", err)
	}
	return pages, nil
}

// ClientConfig is a registered application.
type ClientConfig struct {
	// A positive integer, the Login API's `client_id`. Required.
	ID string `json:"id,omitempty"`

	// What people read on the sign-in page. Default: `Application <id>`.
	Name string `json:"name,omitempty"`

	// Whether the client has no secret, as a game or a browser application. It
	// has to use PKCE. Default: false.
	Public bool `json:"public,omitempty"`

	// The secret of a client that is not public: at least 16 characters.
	// Placeholders are replaced.
	Secret string `json:"secret,omitempty"`

	// Lets a public client leave PKCE out, which older clients need. Default:
	// false.
	AllowNoPKCE bool `json:"allow_no_pkce,omitempty"`

	// The IDs of the sign-in methods that count for the client and its gates.
	// Default: all but the outside providers of the License API's customer
	// accounts, whose users are to get at their products alone.
	Signin []string `json:"signin,omitempty"`

	// Refuses every request of the client, and every request at its gates.
	// Default: false.
	Disabled bool `json:"disabled,omitempty"`

	// The URLs that codes may be sent to, compared byte for byte. The loopback
	// addresses `http://127.0.0.1/…` and `http://[::1]/…` match any port (RFC
	// 8252 section 7.3), and so does `http://localhost/…` without a port. At
	// least one, but for a client with a secret that gets no codes.
	RedirectURIs []string `json:"redirect_uris,omitempty"`

	// The URLs that a browser without a session may be sent to. One without a
	// path stands for its whole origin.
	FailAuthURLs []string `json:"fail_auth_urls,omitempty"`

	// The URLs that the browser may go to from a sign-out that the client asked
	// for, beside the `fail_auth_urls`. They follow the rules of `redirect_uris`.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`

	// What the `aud` of its tokens may hold; the first is the default. Default:
	// the client's ID.
	Audiences []string `json:"audiences,omitempty"`

	// Lets a request of the Login API leave `audience` out: it is the first one
	// then. OpenID Connect always does. Default: false.
	DefaultAudience bool `json:"default_audience,omitempty"`

	// What the client may ask for, such as `email` or `offline`; `*` is
	// everything.
	Scopes []string `json:"scopes,omitempty"`

	// Words for scopes, which pages show after "will be able to". Default: words for
	// the scopes of OpenID Connect and the Login API, and `use <scope>` for others.
	ScopeTexts map[string]string `json:"scope_texts,omitempty"`

	// When users are asked whether the client may have what it asks for, before it
	// gets a code: `first` (once for each user and scope, until the user withdraws
	// it, for a year at most), `always` (each time) or `never`, for applications of
	// your own. A client of a gate never asks. Default: `never`.
	Consent string `json:"consent,omitempty"`

	// What its tokens are signed with: `RS256` (default), `ES256` or `EdDSA`; or
	// `HS256`, for older backends, with the key below. That is for access tokens;
	// its ID tokens are signed with RS256 then.
	TokenAlg string `json:"token_alg,omitempty"`

	// The key of HS256, of at least 32 bytes. Who has it can make tokens of this
	// client. Placeholders are replaced.
	HS256Key string `json:"hs256_key,omitempty"`

	// How long its access and ID tokens are good for, at most `24h`. Default:
	// `1h`.
	TokenLifetime caddy.Duration `json:"token_lifetime,omitempty"`

	// How long a refresh token is good for, each from its own beginning, at most
	// `366d`. Default: `90d`.
	RefreshLifetime caddy.Duration `json:"refresh_lifetime,omitempty"`

	// More claims of its access tokens: texts, in which `{user.name}`,
	// `{user.email}`, `{user.avatar}` and `{user.provider}` stand for what is
	// known of the user. `{user.groups}` alone is the list of the groups. What
	// comes out empty is left out.
	Claims map[string]string `json:"claims,omitempty"`

	// A UUID for the token's `xsolla_login_project_id` and for
	// `/api/projects/{id}/keys`. Default: the ID stands for it.
	Project string `json:"project,omitempty"`
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func checkProject(project string) error {
	if !uuid.MatchString(project) {
		return fmt.Errorf("project %q is no UUID in lower case, such as 0f8fad5b-d9cb-469f-a165-70867728950e", project)
	}
	return nil
}

// withoutSecret checks a client before it is known what placeholders in its
// secret stand for. The result is to be looked at alone.
func (c *ClientConfig) withoutSecret() (*oauth.Client, error) {
	known := *c
	if hasPlaceholder(c.Secret) {
		known.Secret = rand.Text()
	}
	if c.HS256Key != "" {
		known.HS256Key = rand.Text() + rand.Text()
	}
	client, err := known.client()
	if err != nil {
		return nil, fmt.Errorf("client %s: %w", c.ID, err)
	}
	if _, err := oauth.NewClients([]*oauth.Client{client}); err != nil {
		return nil, err
	}
	return client, nil
}

// client checks what can be checked of one client alone.
func (c *ClientConfig) client() (*oauth.Client, error) {
	secret, err := readSecret(c.Secret)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	out := &oauth.Client{
		ID: c.ID, Name: c.Name, Public: c.Public, Secret: oauth.NewSecret(secret),
		AllowNoPKCE: c.AllowNoPKCE, DefaultAudience: c.DefaultAudience, Disabled: c.Disabled,
		Audiences: c.Audiences, Scopes: c.Scopes, ScopeTexts: c.ScopeTexts, Consent: oauth.ConsentMode(c.Consent),
		TokenAlg: keys.Algorithm(c.TokenAlg), Project: c.Project,
		TokenLifetime: time.Duration(c.TokenLifetime), RefreshLifetime: time.Duration(c.RefreshLifetime),
	}
	if out.HS256Key, err = c.sharedKey(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Claims)) {
		out.Claims = append(out.Claims, oauth.CustomClaim{Name: name, Value: c.Claims[name]})
	}
	setDefault(&out.Name, "Application "+c.ID)
	setDefault(&out.TokenAlg, keys.RS256)
	if len(out.Audiences) == 0 {
		out.Audiences = []string{c.ID}
	}
	if !oauth.CleanText(c.Name) {
		return nil, fmt.Errorf("name %q has control characters", c.Name)
	}
	if c.Project != "" {
		if err := checkProject(c.Project); err != nil {
			return nil, err
		}
	}
	for _, raw := range c.RedirectURIs {
		r, err := oauth.ParseRedirectURI(raw)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out.RedirectURIs, func(o oauth.RedirectURI) bool { return o.Raw == raw }) {
			return nil, fmt.Errorf("redirect_uri %q is there twice", raw)
		}
		out.RedirectURIs = append(out.RedirectURIs, r)
	}
	for _, raw := range c.FailAuthURLs {
		f, err := oauth.ParseFailAuthURL(raw)
		if err != nil {
			return nil, err
		}
		out.FailAuthURLs = append(out.FailAuthURLs, f)
	}
	for _, raw := range c.PostLogoutRedirectURIs {
		r, err := oauth.ParsePostLogoutRedirectURI(raw)
		if err != nil {
			return nil, err
		}
		out.PostLogoutRedirectURIs = append(out.PostLogoutRedirectURIs, r)
	}
	return out, nil
}

// sharedKey is the key of HS256, nil where there is none.
func (c *ClientConfig) sharedKey() (*keys.SharedKey, error) {
	if c.HS256Key == "" {
		return nil, nil
	}
	key, err := readSecret(c.HS256Key)
	if err != nil {
		return nil, fmt.Errorf("hs256_key: %w", err)
	}
	shared, err := keys.NewSharedKey(key)
	if err != nil {
		return nil, fmt.Errorf("hs256_key has %d bytes; expected at least %d, such as what this prints: openssl rand -hex 32", len(key), keys.MinSharedKey)
	}
	return shared, nil
}

// ParseIssuer checks the portal's public origin.
func ParseIssuer(raw string) (*url.URL, error) {
	const right = "expected the portal's public origin, such as https://login.example.com"
	if raw == "" {
		return nil, errors.New("issuer is missing; " + right)
	}
	spelled, err := oauth.BrowserSpelling(raw)
	if err != nil {
		return nil, fmt.Errorf("issuer %q %w; %s", raw, err, right)
	}
	u, err := url.Parse(spelled)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" {
		return nil, fmt.Errorf("issuer %q is no web origin; %s", raw, right)
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || strings.ContainsAny(raw, "?#") {
		return nil, fmt.Errorf("issuer %q has more than scheme, host and port; %s", raw, right)
	}
	if raw != spelled {
		return nil, fmt.Errorf("issuer %q is not written the way browsers write origins; expected %s", raw, spelled)
	}
	if u.Scheme == "http" && !oauth.IsLoopbackHost(u.Hostname()) {
		return nil, fmt.Errorf("issuer %q is http, which is for loopback only (localhost, 127.0.0.1, [::1]); use https, also where TLS ends at a server in front", raw)
	}
	return u, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
