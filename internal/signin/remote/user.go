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
func userOf(method string, said map[string]any, known subjects.Naming, groups *userinfo.Groups) (session.User, error) {
	sub, _ := said["subject"].(string)
	if sub == "" || len(sub) > subjects.MaxLength || !oauth.CleanText(sub) {
		return session.User{}, errors.New("the user's subject is missing, no text, too long, or has control characters")
	}
	u := session.User{
		Subject: known.Of(sub), ProviderID: sub, Signin: method, Avatar: userinfo.Avatar(said["avatar"]),
	}
	u.Groups = groups.Read(said["groups"], u.Subject)
	if email, _ := said["email"].(string); userinfo.Verified(said["email_verified"]) {
		if _, err := username.CanonicalEmail(email); err == nil {
			u.Email = email
		}
	}
	u.Registered = groups.Registered(said["registered"], u.Subject)
	name, _ := said["name"].(string)
	u.Name = cmp.Or(username.Printable(strings.TrimSpace(name)), u.Email, sub)
	return u, nil
}
