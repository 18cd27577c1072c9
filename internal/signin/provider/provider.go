package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.uber.org/zap"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// Options are the settings of an OpenID Connect provider.
type Options struct {
	ID   string
	Name string // on its button
	Icon string // as in [page.Provider]

	// Issuer is the provider's issuer identifier, byte for byte: https, or http
	// on loopback.
	Issuer   string
	ClientID string
	Secret   Secret   // none: a public client, by PKCE alone
	Scopes   []string // beside openid; nil: profile and email

	// Params are sent with an authorization request beside the standard ones.
	Params map[string]string

	Claims Claims

	// GroupSeparator separates the groups if the claim is one string: comma,
	// semicolon, space, or none. Empty: none, and the log reports a claim that may
	// have one.
	GroupSeparator string

	// Recheck is how often the provider is asked, with the refresh token of a session
	// in use, whether the user may still sign in there. Zero: never.
	Recheck time.Duration

	// LinkEmail is the ID of a method whose users may also sign in by this one, if
	// the provider has verified their e-mail address. Empty: none.
	LinkEmail string

	// OwnSubjects is set if the provider's sub is the user's subject.
	OwnSubjects bool

	// Mark is on every user, and only users with it belong to the provider: it
	// distinguishes this provider from another one with the same ID at another time.
	// It is base64url, of at most 64 bytes. Empty: every user who signed in by the ID
	// belongs to it.
	Mark string

	Now func() time.Time // nil: time.Now
	Log *zap.Logger      // nil: nothing is logged
}

// A Secret is a client secret at a provider, which cannot be printed.
type Secret struct{ value string }

// NewSecret keeps a client secret.
func NewSecret(s string) Secret { return Secret{s} }

// Format keeps the secret from being printed, under every verb.
func (Secret) Format(f fmt.State, _ rune) {
	io.WriteString(f, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

const (
	// providerPatience bounds one answer of a provider, and finishPatience all
	// requests of one sign-in.
	providerPatience = 10 * time.Second
	finishPatience   = 20 * time.Second

	// ClockSkew is how far a provider's clock may be ahead or behind.
	ClockSkew = time.Minute

	// maxFinishing bounds the sign-ins that wait for one provider at a time.
	maxFinishing = 64

	// maxCode bounds, in bytes, an authorization code of a provider.
	maxCode = 8 << 10
)

// A Method signs in the users of an outside OpenID Connect provider.
type Method struct {
	o          Options
	Client     *http.Client
	finishing  chan struct{} // places
	loggingOut chan struct{} // places
	keyReads   *rate.Limiter // for logout tokens
	groups     userinfo.Groups
	subjects.Naming
	avatarUsed bool
	wanted     func() []string    // the claims that gates name; nil: none
	lines      logthrottle.ByKind // in the log, of what a sign-in did without
	keysDown   atomic.Pointer[signin.DownError]

	mu      sync.Mutex
	found   *metadata     // nil: never
	looking chan struct{} // closed when the discovery that runs has ended; nil: none runs
	failure error         // of the last one
	failed  int           // how many failed in a row
	again   time.Time     // when to look again
}

// New refuses options that cannot work, and the error says what is expected. It opens
// no connection.
func New(o Options) (*Method, error) {
	if err := CheckIssuer(o.Issuer); err != nil {
		return nil, err
	}
	if o.Recheck != 0 && o.Recheck < ShortestRecheck {
		return nil, fmt.Errorf("recheck %s is too often; the shortest is %s", o.Recheck, ShortestRecheck)
	}
	if o.LinkEmail != "" && o.LinkEmail == o.ID {
		return nil, errors.New("link_email is this sign-in method itself; expected another, such as local")
	}
	if o.ClientID == "" {
		return nil, errors.New("client_id is missing; add the ID that the provider gave this application")
	}
	if o.Scopes == nil {
		o.Scopes = []string{"profile", "email"}
	}
	if !slices.Contains(o.Scopes, oidc.ScopeOpenID) {
		o.Scopes = append([]string{oidc.ScopeOpenID}, o.Scopes...)
	}
	for name, value := range o.Params {
		if name == "response_mode" && (value == "form_post" || value == "query") {
			continue // the callback reads no other
		}
		if slices.Contains(ownParams, name) {
			return nil, fmt.Errorf("the parameter %s is ours to send; expected one that the provider adds, such as access_type", name)
		}
	}
	if slices.Contains(strings.Fields(o.Params["prompt"]), "none") {
		return nil, errors.New("prompt none shows no page, so that users without a session at the provider cannot sign in; expected consent for example")
	}
	if _, known := userinfo.Separators[o.GroupSeparator]; !known && o.GroupSeparator != "" {
		return nil, fmt.Errorf("group_separator %q is unknown; expected comma, semicolon, space or none", o.GroupSeparator)
	}
	o.Claims.setDefaults()
	if o.LinkEmail != "" && o.Claims.Email == "" {
		return nil, errors.New("link_email takes the e-mail address, which claim email off leaves out; remove one of them")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Method{
		o: o, Client: newProviderClient(), finishing: make(chan struct{}, maxFinishing), loggingOut: make(chan struct{}, maxLogouts),
		keyReads: rate.NewLimiter(rate.Every(KeysEvery), KeysBurst),
		Naming:   subjects.Naming{Own: o.OwnSubjects, Kind: "oidc", Within: o.Issuer},
		groups:   userinfo.Groups{Method: o.ID, Claim: o.Claims.Groups, Separator: o.GroupSeparator, Log: o.Log, Now: o.Now},
	}, nil
}

// ownParams are the parameters of an authorization request that no setting adds:
// they bind the answer to the sign-in, or have a setting of their own.
var ownParams = []string{
	"", "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "request", "request_uri", "login_hint", "max_age", "client_secret", "id_token_hint",
}

// CheckIssuer refuses a URL that is no issuer (OpenID Connect Discovery section 3).
func CheckIssuer(raw string) error {
	const right = "expected the provider's issuer, such as https://login.acme.example"
	if raw == "" {
		return errors.New("issuer is missing; " + right)
	}
	u, err := url.Parse(raw)
	if at := strings.LastIndexByte(raw, '@'); at >= 0 && (err != nil || u.User != nil) {
		raw = "…" + raw[at:] // a password may be before it
	}
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("issuer %q is no web address; %s", raw, right)
	}
	if u.User != nil || strings.ContainsAny(raw, "?#") {
		return fmt.Errorf("issuer %q has user information, a query or a fragment; %s", raw, right)
	}
	if issuer, _, found := strings.Cut(raw, "/.well-known"); found {
		if strings.HasSuffix(u.Hostname(), ".auth0.com") {
			issuer += "/"
		}
		return fmt.Errorf("issuer %q is the address of the provider's discovery document; expected what that says as issuer, which is likely: %s", raw, issuer)
	}
	if !oauth.KeepsSecrets(u) {
		return fmt.Errorf("issuer %q is http, which is for loopback only (localhost, 127.0.0.1, [::1]); use https", raw)
	}
	return nil
}

// ID implements [signin.Method].
func (p *Method) ID() string { return p.o.ID }

// Current implements [signin.Method]. Changes of a user after the sign-in are unknown
// here.
func (p *Method) Current(u session.User) (session.User, bool) {
	return u, subjects.HasMark(u, p.o.Mark)
}

// InFlight is how many sign-ins wait for the provider.
func (p *Method) InFlight() int { return len(p.finishing) }

// Label implements [signin.ProviderMethod].
func (p *Method) Label() (name, icon string) { return p.o.Name, p.o.Icon }

// Start implements [signin.ProviderMethod].
func (p *Method) Start(ctx context.Context, d signin.ProviderRequest) (string, error) {
	f, err := p.discovery(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(d.Nonce), oauth2.S256ChallengeOption(d.Verifier)}
	if d.LoginHint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", d.LoginHint))
	}
	for name, value := range p.o.Params {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	prompt := strings.Fields(p.o.Params["prompt"])
	if !d.AuthAfter.IsZero() {
		age := max(p.o.Now().Sub(d.AuthAfter)/time.Second, 0)
		options = append(options, oauth2.SetAuthURLParam("max_age", strconv.FormatInt(int64(age), 10)))
		if age == 0 && f.prompts("login") && !slices.Contains(prompt, "login") {
			prompt = append(prompt, "login")
		}
	}
	if d.SelectAccount {
		switch {
		case slices.Contains(prompt, "select_account"):
		case f.prompts("select_account"):
			prompt = append(prompt, "select_account")
		case f.prompts("login") && len(prompt) == 0:
			prompt = append(prompt, "login")
		}
	}
	if prompt != nil {
		options = append(options, oauth2.SetAuthURLParam("prompt", strings.Join(prompt, " ")))
	}
	return p.config(f, d).AuthCodeURL(d.State, options...), nil
}

func (p *Method) config(f *metadata, d signin.ProviderRequest) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.o.ClientID, ClientSecret: p.o.Secret.value, Endpoint: f.endpoint, RedirectURL: d.RedirectURI, Scopes: p.o.Scopes,
	}
}

// Finish implements [signin.ProviderMethod].
func (p *Method) Finish(ctx context.Context, d signin.ProviderRequest, answer url.Values) (session.User, error) {
	a, err := p.FinishSession(ctx, d, answer)
	return a.User, err
}

// FinishSession implements [signin.ProviderSessionMethod].
func (p *Method) FinishSession(ctx context.Context, d signin.ProviderRequest, answer url.Values) (signin.ProviderSignIn, error) {
	for name, values := range answer {
		if len(values) > 1 {
			return signin.ProviderSignIn{}, fmt.Errorf("%w: %q is there more than once", signin.ErrAnswer, userinfo.Excerpt(name))
		}
	}
	f, err := p.discovery(ctx)
	if err != nil {
		return signin.ProviderSignIn{}, err
	}
	// Before all else, so that no other provider's answer is taken for this
	// one's, not even its errors (RFC 9207 section 2.4).
	iss, named := answer.Get("iss"), answer.Has("iss")
	if (named && iss != p.o.Issuer) || (!named && f.namesItself) {
		return signin.ProviderSignIn{}, fmt.Errorf("%w: it comes from issuer %q", signin.ErrAnswer, userinfo.Excerpt(iss))
	}
	if code := answer.Get("error"); code != "" {
		return signin.ProviderSignIn{}, signin.AuthorizationError(code)
	}
	code := answer.Get("code")
	if code == "" || len(code) > maxCode {
		return signin.ProviderSignIn{}, fmt.Errorf("%w: a code of %d bytes", signin.ErrAnswer, len(code))
	}
	select {
	case p.finishing <- struct{}{}:
		defer func() { <-p.finishing }()
	default:
		return signin.ProviderSignIn{}, signin.ErrBusy
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.Client), finishPatience)
	defer cancel()
	token, err := p.config(f, d).Exchange(ctx, code, oauth2.VerifierOption(d.Verifier))
	if err != nil {
		return signin.ProviderSignIn{}, exchangeError(err)
	}
	id, authTime, err := p.verify(ctx, f, d, token)
	if err != nil {
		return signin.ProviderSignIn{}, err
	}
	user, err := p.user(ctx, f, id, token)
	if err != nil {
		return signin.ProviderSignIn{}, err
	}
	return signin.ProviderSignIn{User: user, SessionID: sessionID(id), RefreshToken: token.RefreshToken, AuthTime: authTime}, nil
}

// verify checks the ID token of an answer (OpenID Connect Core section
// 3.1.3.7), and returns when the user was authenticated, if it says so.
func (p *Method) verify(ctx context.Context, f *metadata, d signin.ProviderRequest, token *oauth2.Token) (id *oidc.IDToken, authTime time.Time, err error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, time.Time{}, fmt.Errorf("%w: there is no ID token in it", signin.ErrAnswer)
	}
	now := p.o.Now()
	keys := &watchedKeys{KeySet: f.keys}
	id, err = oidc.NewVerifier(p.o.Issuer, keys, &oidc.Config{
		ClientID: p.o.ClientID, SupportedSigningAlgs: f.algorithms,
		Now: func() time.Time { return now.Add(-ClockSkew) },
	}).Verify(ctx, raw)
	if keys.down != nil {
		return nil, time.Time{}, &signin.DownError{RetryAfter: time.Second, Cause: bounded("reading its keys", keys.down)}
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("verifying the ID token", err))
	}
	var more struct {
		AuthorizedParty *string  `json:"azp"`
		NotBefore       *float64 `json:"nbf"`
		AuthTime        *float64 `json:"auth_time"`
	}
	if err := id.Claims(&more); err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("reading the ID token", err))
	}
	latest := now.Add(ClockSkew)
	wrong := ""
	switch {
	case id.Nonce != d.Nonce || d.Nonce == "":
		wrong = "the nonce is not that of this sign-in"
	case more.AuthorizedParty != nil && *more.AuthorizedParty != p.o.ClientID, more.AuthorizedParty == nil && len(id.Audience) > 1:
		wrong = "the token is for another application"
	case id.Subject == "" || len(id.Subject) > subjects.MaxLength || !oauth.CleanText(id.Subject):
		wrong = "sub is missing, too long, or has control characters"
	case id.IssuedAt.IsZero() || id.IssuedAt.After(latest):
		wrong = "iat is missing, or in the future"
	case more.NotBefore != nil && unix(*more.NotBefore).After(latest):
		wrong = "nbf is in the future"
	case id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil:
		wrong = "at_hash is not that of the access token"
	}
	if wrong != "" {
		return nil, time.Time{}, fmt.Errorf("%w: %s", signin.ErrAnswer, wrong)
	}
	if more.AuthTime != nil {
		authTime = unix(*more.AuthTime)
	}
	if !d.AuthAfter.IsZero() && authTime.Before(d.AuthAfter.Add(-ClockSkew)) {
		return nil, time.Time{}, fmt.Errorf("%w: auth_time is missing, or from before", signin.ErrNotReauthenticated)
	}
	return id, authTime, nil
}

// unix returns the time of a NumericDate (RFC 7519 section 2). Values out of range
// become the first or the last time.
func unix(seconds float64) time.Time {
	return time.Unix(int64(min(max(seconds, 0), 1<<40)), 0)
}

// Mark is on every user who signs in by this method; "": there is none.
func (p *Method) Mark() string { return p.o.Mark }

// Close closes the idle connections to the provider, after the last sign-in by this
// method has begun. Running sign-ins continue.
func (p *Method) Close() { p.Client.CloseIdleConnections() }

// LinkEmail implements [signin.EmailLinker].
func (p *Method) LinkEmail() string { return p.o.LinkEmail }

// Groups implements [signin.GroupLister]: a provider's users have groups if a claim
// has them.
func (p *Method) Groups() (names []string, open bool) { return nil, p.o.Claims.Groups != "" }
