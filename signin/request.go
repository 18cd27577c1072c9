package signin

import (
	"context"
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A Request is a kind of authorization request that people sign in for.
type Request struct {
	// Page is the path of its sign-in page, and Continue the one that goes on
	// with it. Both take its query.
	Page, Continue string

	// Consent is the path of its consent page, which takes the same query.
	Consent string

	// Check parses the query and holds it against the client's registration.
	// What is wrong is shown, not redirected.
	Check func(ctx context.Context, rawQuery string) (*oauth.Authorization, *oauth.Error)

	// Deny answers the form of the consent page where the user does not allow what
	// is asked for.
	Deny func(w http.ResponseWriter, r *http.Request, a *oauth.Authorization)
}
