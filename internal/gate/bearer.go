package gate

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// maxBearer bounds the length of a token, in bytes.
const maxBearer = 16 << 10

// A challenge says why a token in the Authorization header is refused (RFC 6750
// section 3).
type challenge struct {
	status      int
	code        string
	description string // without quotation marks
}

var (
	errTwoTokens = &challenge{http.StatusBadRequest, "invalid_request", "The request has more than one Authorization header."}
	errToken     = &challenge{http.StatusUnauthorized, "invalid_token", "The token is not an access token of this portal, or it was revoked."}
	errExpired   = &challenge{http.StatusUnauthorized, "invalid_token", "The token has expired."}
	errAudience  = &challenge{http.StatusUnauthorized, "invalid_token", "The token is for another audience."}
	errLicense   = &challenge{http.StatusUnauthorized, "invalid_token", "The token is for the activation of a license."}
	errGroup     = &challenge{http.StatusForbidden, "insufficient_scope", "The user is in none of the allowed groups."}
	errRule      = &challenge{http.StatusForbidden, "insufficient_scope", "The user is not allowed here."}
	errMethod    = &challenge{http.StatusForbidden, "insufficient_scope", "The sign-in method of this user is not accepted here."}
	errClient    = &challenge{http.StatusForbidden, "insufficient_scope", "The token is a client's own token, and this client is not allowed here."}
	errOver      = &challenge{http.StatusUnauthorized, "invalid_token", "The token has expired, or was revoked."}
)

// bearer verifies the token in the Authorization header of a request without a
// session. All three results are nil if there is no token.
func (g *Gate) bearer(v *request, r *http.Request) (*oauth.Verified, *challenge, error) {
	token, there := bearerToken(v.authorization)
	switch {
	case !g.Policy.Bearer || !there:
		return nil, nil, nil
	case len(v.authorization) > 1:
		return nil, errTwoTokens, nil
	case len(token) > maxBearer:
		return nil, errToken, nil
	}
	if v.token == nil && v.tokenErr == nil {
		v.token, v.tokenErr = g.Server.VerifyAccess(r.Context(), token)
	}
	switch refusal := v.tokenErr; {
	case refusal == nil:
	case refusal.Kind != oauth.InvalidToken:
		return nil, nil, refusal
	case errors.Is(refusal, oauth.ErrTokenExpired):
		return nil, errExpired, nil
	default:
		return nil, errToken, nil
	}
	switch {
	case v.token.Claims.License != oauth.License{}:
		return nil, errLicense, nil
	case !v.token.For(g.Client):
		return nil, errAudience, nil
	}
	return v.token, nil, nil
}

// bearerToken reads the token from the Authorization header (RFC 6750 section 2.1). It
// ignores other schemes, which belong to the backend. Unlike httpapi.Bearer it finds an
// empty token and a second header, which the gate refuses.
func bearerToken(lines []string) (token string, there bool) {
	for _, line := range lines {
		scheme, credentials, _ := strings.Cut(line, " ")
		if strings.EqualFold(scheme, "Bearer") {
			return strings.Trim(credentials, " "), true
		}
	}
	return "", false
}

// clientOwn is the client whose own token it is (client credentials grant); "" for a
// user's token.
func clientOwn(token *oauth.Verified) string {
	if token != nil && token.Claims.Grant == "" {
		return token.Client.ID
	}
	return ""
}

// isPreflight reports whether a request is a CORS preflight (Fetch, section 3.3.2):
// without credentials, without a body, and without a header that overrides the method.
// It is stricter than that of httpapi, since such a request passes the gate.
func isPreflight(r *http.Request) bool {
	if r.Method != http.MethodOptions || r.ContentLength != 0 {
		return false
	}
	has := func(name string) bool { return len(r.Header[name]) > 0 }
	return has("Origin") && has("Access-Control-Request-Method") && !has("Authorization") && !hasOverride(r.Header)
}

// challenged refuses a token with a challenge.
func (g *Gate) challenged(w http.ResponseWriter, c *challenge) {
	w.Header().Set("Www-Authenticate", `Bearer error="`+c.code+`", error_description="`+c.description+`"`)
	writeProblem(w, c.status, problem{Error: c.code, Description: c.description})
}

// forbidToken refuses a valid token whose user or client is not allowed.
func (g *Gate) forbidToken(w http.ResponseWriter, r *http.Request, token *oauth.Verified) {
	e := oauth.Event{
		What: oauth.AccessDenied, User: token.User, Client: g.Client, Session: token.Session, Grant: token.Claims.Grant, From: g.From(r),
	}
	c := *errClient
	if own := clientOwn(token); own != "" {
		e.Why = "client " + own + " is not allowed here"
	} else {
		e.Why, c.description = g.denial(&token.User)
	}
	g.Server.Audit.Record(e)
	g.challenged(w, &c)
}
