package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.uber.org/zap"
	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// Claims are the names of a provider's claims, or paths to a value inside another
// claim, such as realm_access.roles. A claim that is [ClaimOff] is not read and not
// requested.
type Claims struct {
	Username      string // default preferred_username
	Email         string // default email
	EmailVerified string // default email_verified
	Avatar        string // default picture

	// Groups has no default: groups grant access here, and not every provider may
	// decide who is in a group.
	Groups string
}

func (c *Claims) setDefaults() {
	for field, name := range map[*string]string{
		&c.Username: "preferred_username", &c.Email: "email", &c.EmailVerified: "email_verified", &c.Avatar: "picture",
	} {
		if *field == "" {
			*field = name
		}
	}
	for _, field := range []*string{&c.Username, &c.Email, &c.EmailVerified, &c.Avatar, &c.Groups} {
		if *field == ClaimOff {
			*field = ""
		}
	}
	if c.Email == "" || c.EmailVerified == "" { // neither is good for anything alone
		c.Email, c.EmailVerified = "", ""
	}
}

// ClaimOff replaces the name of a claim that is not read.
const ClaimOff = "off"

// Bounds on a user's claims, in bytes, except the number of groups.
const MaxSession = 1 << 10

// user returns the user of the claims. The userinfo endpoint is asked only for claims
// that the ID token does not contain.
func (p *Method) user(ctx context.Context, f *metadata, id *oidc.IDToken, token *oauth2.Token) (session.User, error) {
	var said map[string]any
	if err := id.Claims(&said); err != nil {
		return session.User{}, fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("reading the ID token", err))
	}
	return p.userFrom(ctx, f, said, id.Subject, token, true)
}

// userFrom returns the user of the claims of an ID token. At a sign-in, claims that are
// optional may be missing if the userinfo endpoint does not answer.
func (p *Method) userFrom(ctx context.Context, f *metadata, said map[string]any, sub string, token *oauth2.Token, atSignIn bool) (session.User, error) {
	kept := p.keptNames()
	claims, elsewhere := p.o.Claims.pick(said, kept), p.o.Claims.groupsElsewhere(said)
	asked, stated := true, claims[p.o.Claims.Email]
	if names := p.o.Claims.missing(claims, kept); len(names) > 0 && f.provider.UserInfoEndpoint() != "" {
		more, err := p.userInfo(ctx, f, sub, token, names, atSignIn)
		if err != nil {
			return session.User{}, err
		}
		asked = more != nil
		for _, name := range names {
			claims[name] = userinfo.Lookup(more, name)
		}
		elsewhere = elsewhere || p.o.Claims.groupsElsewhere(more)
	}
	u := p.userOf(sub, claims)
	if stated != nil && claims[p.o.Claims.Email] == nil {
		claims[p.o.Claims.Email] = stated // in the ID token alone, and so not verified
	}
	u.Claims = p.keep(u, kept, claims, asked, elsewhere)
	if p.o.Claims.Groups != "" && claims[p.o.Claims.Groups] == nil {
		p.logMissingGroups(u, elsewhere)
	}
	return u, nil
}

// logMissingGroups logs that the claim with the groups is missing. That is no fault
// if the provider omits it for users without groups.
func (p *Method) logMissingGroups(u session.User, elsewhere bool) {
	if elsewhere {
		p.groups.Warn(u.Subject, userinfo.ErrOverage)
		return
	}
	if n := p.lines.Due("no groups", nil, p.o.Now()); n > 0 {
		p.o.Log.Info("the provider says nothing of groups; if users have some there, compare the setting claim groups with what it sends",
			zap.String("signin", p.o.ID), zap.String("claim", p.o.Claims.Groups), zap.String("subject", u.Subject), zap.Int("times", n))
	}
}

// keptNames are the claims that are kept with the session.
func (p *Method) keptNames() []string {
	if p.wanted == nil {
		return nil
	}
	return p.wanted()
}

// ReadClaims implements [signin.ClaimReader].
func (p *Method) ReadClaims(names func() []string) { p.wanted = names }

// keep returns the claims that are kept with the session: those that gates name, and
// which of the groups and the e-mail address could not be read in full. asked is false
// if the userinfo endpoint did not answer.
func (p *Method) keep(u session.User, names []string, claims map[string]any, asked, elsewhere bool) session.Claims {
	kept := userinfo.Keep(names, func(name string) (any, bool) {
		if name == session.ClaimEmail {
			return p.unverified(u, claims, asked)
		}
		value := claims[name]
		return value, asked || value != nil
	})
	if p.o.Claims.Groups == "" {
		return kept
	}
	_, whole := p.groups.ReadQuietly(claims[p.o.Claims.Groups])
	if !whole || elsewhere || !asked && claims[p.o.Claims.Groups] == nil {
		kept = kept.Without(session.ClaimGroups)
	}
	return kept
}

// unverified returns the e-mail address that the provider states and has not verified. A
// verified one is a field of the user.
func (p *Method) unverified(u session.User, claims map[string]any, asked bool) (any, bool) {
	if u.Email != "" {
		return nil, true
	}
	if p.o.Claims.Email == "" {
		return nil, false // the setting claim email off
	}
	value := claims[p.o.Claims.Email]
	return value, asked || value != nil
}

// pick returns the configured claims and those that are kept, by their names.
func (c *Claims) pick(said map[string]any, kept []string) map[string]any {
	claims := make(map[string]any)
	for _, name := range append([]string{c.Username, c.Email, c.EmailVerified, c.Avatar, c.Groups}, kept...) {
		if name != "" {
			claims[name] = userinfo.Lookup(said, name)
		}
	}
	return claims
}

// groupsElsewhere reports whether the groups are at another address (OpenID Connect Core
// section 5.6.2), which is not requested.
func (c *Claims) groupsElsewhere(said map[string]any) bool {
	names, _ := said["_claim_names"].(map[string]any)
	return names[c.Groups] != nil || c.Groups == "groups" && userinfo.Verified(said["hasgroups"])
}

// missing returns the missing claims. The e-mail address and email_verified must come
// from one source, so if one is missing, both count as missing.
func (c *Claims) missing(claims map[string]any, kept []string) []string {
	lacks := func(name string) bool { return name != "" && claims[name] == nil }
	var names []string
	for _, name := range append([]string{c.Username, c.Groups, c.Avatar}, kept...) {
		if lacks(name) && name != session.ClaimEmail {
			names = append(names, name)
		}
	}
	if lacks(c.Email) || lacks(c.EmailVerified) {
		names = append(names, c.Email, c.EmailVerified)
	}
	return names
}

// optional reports whether a user can sign in without these claims. The picture is
// optional, unless a client has it in a claim of its own. Claims that gates name are,
// too: the session has a mark that they could not be read. All other claims are in
// headers that gates set, decide about access, or identify the user to backends.
func (p *Method) optional(names []string) bool {
	c := p.o.Claims
	return !slices.ContainsFunc(names, func(name string) bool {
		return name == c.Username || name == c.Email || name == c.EmailVerified || name == c.Groups || name == c.Avatar && p.avatarUsed
	})
}

// UseAvatar makes the picture required, because a client's own claims contain it: no
// user signs in while the provider does not return it.
func (p *Method) UseAvatar() { p.avatarUsed = true }

// optionalPatience bounds how long a sign-in waits for optional claims.
const optionalPatience = 3 * time.Second

// userInfo requests claims. If they are optional at a sign-in, and the request fails, it
// returns none.
func (p *Method) userInfo(ctx context.Context, f *metadata, sub string, token *oauth2.Token, names []string, atSignIn bool) (map[string]any, error) {
	optional := atSignIn && p.optional(names)
	if optional {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, optionalPatience)
		defer cancel()
	}
	claims, err := askUserInfo(ctx, f, sub, token)
	if err == nil || !optional {
		return claims, err
	}
	if n := p.lines.Due("userinfo", err, p.o.Now()); n > 0 {
		p.o.Log.Warn("the userinfo endpoint of a provider does not answer as it should; users are signed in without what it alone tells",
			zap.String("signin", p.o.ID), zap.Strings("claims", names), zap.Error(err), zap.Int("times", n))
	}
	return nil, nil
}

func askUserInfo(ctx context.Context, f *metadata, sub string, token *oauth2.Token) (map[string]any, error) {
	info, err := f.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, &signin.DownError{Cause: userInfoError(err)}
	}
	if info.Subject != sub { // OpenID Connect Core section 5.3.2
		return nil, fmt.Errorf("%w: the user information is another user's", signin.ErrAnswer)
	}
	var claims map[string]any
	if err := info.Claims(&claims); err != nil {
		return nil, fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("reading the user information", err))
	}
	return claims, nil
}

// userInfoError leaves out the body of an answer that is an error: it may repeat the
// access token.
func userInfoError(err error) error {
	text := err.Error()
	if len(text) > 3 && strings.Trim(text[:3], "0123456789") == "" {
		status, _, _ := strings.Cut(text, ":")
		return errors.New("asking for user information: status " + userinfo.Excerpt(status))
	}
	return bounded("asking for user information", err)
}

// userOf returns a user with those values of the claims that may be shown, sent to
// backends and used for access.
func (p *Method) userOf(sub string, claims map[string]any) session.User {
	c := p.o.Claims
	u := session.User{Subject: p.Of(sub), Signin: p.o.ID, ProviderID: sub, Avatar: userinfo.Avatar(claims[c.Avatar]), Mark: p.o.Mark}
	u.Groups, _ = p.groups.Read(claims[c.Groups], u.Subject)
	if userinfo.Verified(claims[c.EmailVerified]) {
		if email, _ := claims[c.Email].(string); email != "" {
			if _, err := username.CanonicalEmail(email); err == nil {
				u.Email = email
			}
		}
	}
	name, _ := claims[c.Username].(string)
	u.Name = cmp.Or(username.Printable(strings.TrimSpace(name)), u.Email, sub)
	return u
}

// sessionID returns the provider's session ID, if there is one (OpenID Connect
// Back-Channel Logout section 2.1).
func sessionID(id *oidc.IDToken) string {
	var claims struct {
		SessionID any `json:"sid"`
	}
	if id.Claims(&claims) != nil {
		return ""
	}
	sid, _ := claims.SessionID.(string)
	if len(sid) > MaxSession {
		return ""
	}
	return sid
}
