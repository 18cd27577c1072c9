package httphandler

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/session"
)

// userVar is the Caddy variable of a request with its user. Unlike the request's
// context, error routes have it, too.
const userVar = "sso_gate.user"

// SetUser sets the placeholders that Caddy's own authentication sets. Without a user
// all of them are empty, since Caddy would send the text of an unknown placeholder to
// the backend, as if it were a name. Values are replaced once, and never expanded
// again.
func SetUser(r *http.Request, u *session.User) {
	ctx := r.Context()
	repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	entered := caddyhttp.GetVar(ctx, userVar) != nil
	if u != nil || !entered {
		caddyhttp.SetVar(ctx, userVar, u)
	}
	if entered {
		return
	}
	repl.Map(func(key string) (any, bool) {
		name, ours := strings.CutPrefix(key, "http.auth.user.")
		if !ours {
			return nil, false
		}
		if u, _ := caddyhttp.GetVar(ctx, userVar).(*session.User); u != nil {
			return userPlaceholder(u, name), true
		}
		return "", true
	})
}

func userPlaceholder(u *session.User, name string) string {
	switch name {
	case "id", "name":
		return u.Name
	case "subject":
		return u.Subject
	case "email":
		return u.Email
	case "groups":
		return gate.JoinGroups(u.Groups)
	}
	return ""
}
