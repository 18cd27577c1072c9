package remote

import (
	"cmp"
	"errors"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
)

// userOf returns a user with those values of the operator's own server that may be
// shown, sent to backends and used for access.
// The claims that names returns are kept; nil: none.
func userOf(method string, said map[string]any, known subjects.Naming, groups *userinfo.Groups, names func() []string) (session.User, error) {
	sub, _ := said["subject"].(string)
	if sub == "" || len(sub) > subjects.MaxLength || !oauth.CleanText(sub) {
		return session.User{}, errors.New("the user's subject is missing, no text, too long, or has control characters")
	}
	u := session.User{
		Subject: known.Of(sub), ProviderID: sub, Signin: method, Avatar: userinfo.Avatar(said["avatar"]),
	}
	var whole bool
	u.Groups, whole = groups.Read(said["groups"], u.Subject)
	if email, _ := said["email"].(string); userinfo.Verified(said["email_verified"]) {
		if _, err := username.CanonicalEmail(email); err == nil {
			u.Email = email
		}
	}
	u.Registered = groups.Registered(said["registered"], u.Subject)
	if names != nil {
		u.Claims = userinfo.Keep(names(), func(name string) (any, bool) {
			if name == session.ClaimEmail && u.Email != "" {
				return nil, true // it is verified, and a field of the user
			}
			return userinfo.Lookup(said, name), true
		})
	}
	if !whole {
		u.Claims = u.Claims.Without(session.ClaimGroups)
	}
	name, _ := said["name"].(string)
	u.Name = cmp.Or(username.Printable(strings.TrimSpace(name)), u.Email, sub)
	return u, nil
}
