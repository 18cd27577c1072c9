package caddymodule

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

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

	// Lets a public client leave PKCE out, as some older clients do. Default: false.
	AllowNoPKCE bool `json:"allow_no_pkce,omitempty"`

	// The IDs of the sign-in methods that are allowed for the client and its gates.
	// Default: all methods except the providers of the License API's customer accounts:
	// their users may use the customer's products only.
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

	// Lets a request of the Login API leave `audience` out; then the first one of
	// `audiences` is used. OpenID Connect always allows that. Default: false.
	DefaultAudience bool `json:"default_audience,omitempty"`

	// What the client may ask for, such as `email` or `offline`; `*` is
	// everything.
	Scopes []string `json:"scopes,omitempty"`

	// What pages show for a scope after "will be able to". Default: a text for each
	// scope of OpenID Connect and the Login API, and `use <scope>` for others.
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

	// The key of HS256: at least 32 bytes. Anybody who has it can make tokens of this
	// client. Placeholders are replaced.
	HS256Key string `json:"hs256_key,omitempty"`

	// How long its access and ID tokens are good for, at most `24h`. Default:
	// `1h`.
	TokenLifetime caddy.Duration `json:"token_lifetime,omitempty"`

	// How long a refresh token is good for, each from its own beginning, at most
	// `366d`. Default: `90d`.
	RefreshLifetime caddy.Duration `json:"refresh_lifetime,omitempty"`

	// More claims of its access tokens. In their texts, `{user.name}`,
	// `{user.email}`, `{user.avatar}` and `{user.provider}` are replaced. The text
	// `{user.groups}` becomes the list of the groups. An empty claim is left out.
	Claims map[string]string `json:"claims,omitempty"`

	// A UUID for the token's `xsolla_login_project_id` and for
	// `/api/projects/{id}/keys`. Default: the ID stands for it.
	Project string `json:"project,omitempty"`
}

func checkProject(project string) error {
	if !options.IsUUID(project) {
		return fmt.Errorf("project %q is not a UUID in lower case; expected for example 0f8fad5b-d9cb-469f-a165-70867728950e", project)
	}
	return nil
}

// withoutSecret checks a client of a Caddyfile, before the values of the placeholders
// in its secret are known. The result is only for checks.
func (c *ClientConfig) withoutSecret() (*oauth.Client, error) {
	known := *c
	if secrets.HasPlaceholder(c.Secret) {
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

// client checks one client, without the other settings.
func (c *ClientConfig) client() (*oauth.Client, error) {
	secret, err := secrets.Read(c.Secret)
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
	out.Name = cmp.Or(out.Name, "Application "+c.ID)
	out.TokenAlg = cmp.Or(out.TokenAlg, keys.RS256)
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
			return nil, fmt.Errorf("duplicate redirect_uri %q; remove one of the two", raw)
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

// sharedKey returns the key of HS256, nil if there is none.
func (c *ClientConfig) sharedKey() (*keys.SharedKey, error) {
	if c.HS256Key == "" {
		return nil, nil
	}
	key, err := secrets.Read(c.HS256Key)
	if err != nil {
		return nil, fmt.Errorf("hs256_key: %w", err)
	}
	shared, err := keys.NewSharedKey(key)
	if err != nil {
		return nil, fmt.Errorf("hs256_key has %d bytes; expected at least %d, such as what this prints: openssl rand -hex 32", len(key), keys.MinSharedKey)
	}
	return shared, nil
}
