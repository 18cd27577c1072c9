package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/signin"
)

const (
	// LogoutAge is the maximum age of a logout token, without the clock skew.
	LogoutAge = 3 * time.Minute

	// KeysEvery is the minimum time between two reads of a provider's keys because of
	// unauthenticated requests.
	KeysEvery = 10 * time.Second
	KeysBurst = 3

	// maxLogouts bounds how many logout tokens of one provider are verified at a
	// time.
	maxLogouts = 16

	LogoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// logoutClaims are the claims of a logout token (Back-Channel Logout section 2.4).
type logoutClaims struct {
	Issuer   string                     `json:"iss"`
	Audience audience                   `json:"aud"`
	IssuedAt *float64                   `json:"iat"`
	Expiry   *float64                   `json:"exp"`
	ID       string                     `json:"jti"`
	Subject  *string                    `json:"sub"`
	Session  *string                    `json:"sid"`
	Events   map[string]json.RawMessage `json:"events"`
	Nonce    json.RawMessage            `json:"nonce"` // which may not be there, not even as null
}

// audience is a name, or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(raw []byte) error {
	if one := ""; json.Unmarshal(raw, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// Logout implements [signin.LogoutReceiver].
func (p *Method) Logout(ctx context.Context, token string) (signin.Logout, error) {
	// The checks that need neither a signature nor a key come first.
	if err := checkLogoutHeader(token); err != nil {
		return signin.Logout{}, err
	}
	claims, err := logoutPayload(token)
	if err != nil {
		return signin.Logout{}, err
	}
	now := p.o.Now()
	if wrong := p.wrongLogout(claims, now); wrong != "" {
		return signin.Logout{}, fmt.Errorf("%w: %s", signin.ErrAnswer, wrong)
	}
	select {
	case p.loggingOut <- struct{}{}:
		defer func() { <-p.loggingOut }()
	default:
		return signin.Logout{}, signin.ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, providerPatience)
	defer cancel()
	f, err := p.discovery(ctx)
	if err != nil {
		return signin.Logout{}, err
	}
	keys := &watchedKeys{KeySet: f.logoutKeys}
	_, err = oidc.NewVerifier(p.o.Issuer, keys, &oidc.Config{
		ClientID: p.o.ClientID, SupportedSigningAlgs: f.algorithms, SkipExpiryCheck: true, // it may have none: looked at above
	}).Verify(ctx, token)
	if keys.down != nil {
		return signin.Logout{}, p.keysAreDown(keys.down)
	}
	p.keysDown.Store(nil)
	if err != nil {
		return signin.Logout{}, fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("verifying the logout token", err))
	}
	l := signin.Logout{ID: claims.ID, Until: unix(*claims.IssuedAt).Add(LogoutAge + ClockSkew)}
	if claims.Session != nil {
		l.Session = *claims.Session
	}
	if claims.Subject != nil {
		l.Sub, l.Subject = *claims.Subject, p.Derived(*claims.Subject)
	}
	return l, nil
}

// checkLogoutHeader refuses tokens of another type, which the provider may also have
// signed. Older providers set no type, or JWT.
func checkLogoutHeader(token string) error {
	var header struct {
		Type *string `json:"typ"`
	}
	encoded, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return fmt.Errorf("%w: it is no JWT", signin.ErrAnswer)
	}
	if header.Type == nil {
		return nil
	}
	switch strings.TrimPrefix(strings.ToLower(*header.Type), "application/") {
	case "logout+jwt", "jwt":
		return nil
	}
	return fmt.Errorf("%w: it is no logout token but a %s", signin.ErrAnswer, userinfo.Excerpt(*header.Type))
}

func logoutPayload(token string) (logoutClaims, error) {
	var claims logoutClaims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims, fmt.Errorf("%w: it is no JWT", signin.ErrAnswer)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return claims, fmt.Errorf("%w: its claims cannot be read", signin.ErrAnswer)
	}
	return claims, nil
}

// wrongLogout returns why the claims of a logout token are not valid, or "" (OpenID
// Connect Back-Channel Logout section 2.6).
func (p *Method) wrongLogout(c logoutClaims, now time.Time) string {
	var event map[string]json.RawMessage
	switch {
	case c.Issuer != p.o.Issuer:
		return "it is of another issuer"
	case !slices.Contains(c.Audience, p.o.ClientID):
		return "it is for another application"
	case c.IssuedAt == nil || unix(*c.IssuedAt).After(now.Add(ClockSkew)):
		return "iat is missing, or in the future"
	case unix(*c.IssuedAt).Before(now.Add(-LogoutAge - ClockSkew)):
		return "it is too old"
	case c.Expiry != nil && !now.Add(-ClockSkew).Before(unix(*c.Expiry)):
		return "it has expired"
	case !name(c.ID):
		return "jti is missing or too long"
	case c.Nonce != nil:
		return "it has a nonce, which an ID token has"
	case json.Unmarshal(c.Events[LogoutEvent], &event) != nil || event == nil:
		return "events does not say that it is a logout token"
	case c.Subject == nil && c.Session == nil:
		return "it has neither sub nor sid"
	case c.Subject != nil && !name(*c.Subject):
		return "sub is empty, too long, or has control characters"
	case c.Session != nil && (*c.Session == "" || len(*c.Session) > MaxSession):
		return "sid is empty or too long"
	}
	return ""
}

// name reports whether a value can be an ID of a provider.
func name(s string) bool { return s != "" && len(s) <= subjects.MaxLength && oauth.CleanText(s) }

// errKeysTooOften prevents that unauthenticated requests cause a read of the keys for
// every forged token.
var errKeysTooOften = errors.New("its keys were read too often lately")

// keysAreDown returns why the keys cannot be read. While they must not be read again,
// it returns the error of the last read.
func (p *Method) keysAreDown(err error) *signin.DownError {
	if before := p.keysDown.Load(); before != nil && strings.Contains(err.Error(), errKeysTooOften.Error()) {
		return before
	}
	down := &signin.DownError{RetryAfter: KeysEvery, Cause: bounded("reading its keys", err)}
	p.keysDown.Store(down)
	return down
}

// limited returns a client with a rate limit.
func limited(client *http.Client, limit *rate.Limiter, now func() time.Time) *http.Client {
	c := *client
	c.Transport = limitedTransport{client.Transport, limit, now}
	return &c
}

type limitedTransport struct {
	http.RoundTripper
	limit *rate.Limiter
	now   func() time.Time
}

func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.limit.AllowN(t.now(), 1) {
		return nil, errKeysTooOften
	}
	return t.RoundTripper.RoundTrip(r)
}
