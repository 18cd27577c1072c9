package signin

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// ProviderClaims are the names that a provider gives to what is known of a
// user.
type ProviderClaims struct {
	Username      string // default preferred_username
	Email         string // default email
	EmailVerified string // default email_verified
	Avatar        string // default picture

	// Groups has no default: what a group may do is said here, and not every
	// provider may say who is in it.
	Groups string
}

func (c *ProviderClaims) setDefaults() {
	for field, name := range map[*string]string{
		&c.Username: "preferred_username", &c.Email: "email", &c.EmailVerified: "email_verified", &c.Avatar: "picture",
	} {
		if *field == "" {
			*field = name
		}
	}
}

// Bounds, in bytes but for the number of groups, on what a provider says of a
// user.
const (
	maxSubject   = 255 // OpenID Connect Core section 2
	maxSession   = 1 << 10
	maxGroups    = 200
	maxGroup     = 256
	maxAllGroups = 8 << 10
	maxAvatar    = 1 << 10
)

// user makes a user of the claims. The userinfo endpoint is asked only for what
// the ID token leaves out.
func (p *Provider) user(ctx context.Context, f *discovered, id *oidc.IDToken, token *oauth2.Token) (session.User, error) {
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return session.User{}, fmt.Errorf("%w: %w", ErrAnswer, bounded("reading the ID token", err))
	}
	if names := p.o.Claims.missing(claims); len(names) > 0 && f.provider.UserInfoEndpoint() != "" {
		more, err := p.userInfo(ctx, f, id, token)
		if err != nil {
			return session.User{}, err
		}
		for _, name := range names {
			if v, there := more[name]; there {
				claims[name] = v
			}
		}
	}
	return p.userOf(id.Subject, claims), nil
}

// missing are the claims that are not there. An address and whether it was
// verified come from one place, so either is missing where the other is.
func (c *ProviderClaims) missing(claims map[string]any) []string {
	lacks := func(name string) bool { return name != "" && claims[name] == nil }
	var names []string
	for _, name := range []string{c.Username, c.Groups, c.Avatar} {
		if lacks(name) {
			names = append(names, name)
		}
	}
	if lacks(c.Email) || lacks(c.EmailVerified) {
		names = append(names, c.Email, c.EmailVerified)
		delete(claims, c.Email)
		delete(claims, c.EmailVerified)
	}
	return names
}

func (p *Provider) userInfo(ctx context.Context, f *discovered, id *oidc.IDToken, token *oauth2.Token) (map[string]any, error) {
	info, err := f.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, &DownError{Cause: bounded("asking for user information", err)}
	}
	if info.Subject != id.Subject { // OpenID Connect Core section 5.3.2
		return nil, fmt.Errorf("%w: the user information is another user's", ErrAnswer)
	}
	var claims map[string]any
	if err := info.Claims(&claims); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, bounded("reading the user information", err))
	}
	return claims, nil
}

// userOf takes of the claims what may be shown, sent to backends and decided by.
func (p *Provider) userOf(sub string, claims map[string]any) session.User {
	c := p.o.Claims
	u := session.User{
		Subject: p.subject(sub), Signin: p.o.ID, ProviderID: sub,
		Groups: groups(claims[c.Groups]), Avatar: avatar(claims[c.Avatar]),
	}
	if verified(claims[c.EmailVerified]) {
		if email, _ := claims[c.Email].(string); email != "" {
			if _, err := CanonicalEmail(email); err == nil {
				u.Email = email
			}
		}
	}
	name, _ := claims[c.Username].(string)
	u.Name = cmp.Or(printable(strings.TrimSpace(name)), u.Email, sub)
	return u
}

// subject is what the provider's user with that sub is known by here.
func (p *Provider) subject(sub string) string {
	return deriveSubject("oidc", p.o.Issuer+"\x00"+sub)
}

// sessionID is what the provider calls its session, where it says so (OpenID
// Connect Back-Channel Logout section 2.1).
func sessionID(id *oidc.IDToken) string {
	var claims struct {
		SessionID any `json:"sid"`
	}
	if id.Claims(&claims) != nil {
		return ""
	}
	sid, _ := claims.SessionID.(string)
	if len(sid) > maxSession {
		return ""
	}
	return sid
}

// verified reads a claim that some providers write as text or as a number.
func verified(claim any) bool {
	switch v := claim.(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "1"
	case float64:
		return v == 1
	}
	return false
}

// groups reads a list, or the only one. What is beyond the bounds is left out:
// it can open less then, never more.
func groups(claim any) []string {
	var list []any
	switch v := claim.(type) {
	case []any:
		list = v
	case string:
		list = []any{v}
	}
	var names []string
	size := 0
	for _, v := range list {
		name, _ := v.(string)
		if name == "" || len(name) > maxGroup || !oauth.CleanText(name) || slices.Contains(names, name) {
			continue
		}
		if size += len(name); size > maxAllGroups || len(names) == maxGroups {
			break
		}
		names = append(names, name)
	}
	return names
}

// avatar reads the address of a picture.
func avatar(claim any) string {
	raw, _ := claim.(string)
	if len(raw) > maxAvatar || !oauth.CleanText(raw) {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	return raw
}
