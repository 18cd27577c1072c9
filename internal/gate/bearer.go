package gate

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// maxBearer bounds the tokens that are looked at.
const maxBearer = 16 << 10

// A challenge is why a token in the Authorization header does not count (RFC
// 6750 section 3).
type challenge struct {
	status      int
	code        string
	description string // without quotation marks
}

var (
	errTwoTokens = &challenge{http.StatusBadRequest, "invalid_request", "The Authorization header is there more than once."}
	errToken     = &challenge{http.StatusUnauthorized, "invalid_token", "The token is not one of this portal's access tokens, or it was revoked."}
	errExpired   = &challenge{http.StatusUnauthorized, "invalid_token", "The token has expired."}
	errAudience  = &challenge{http.StatusUnauthorized, "invalid_token", "The token is for another audience."}
	errLicense   = &challenge{http.StatusUnauthorized, "invalid_token", "The token is for the activation of a license."}
	errGroup     = &challenge{http.StatusForbidden, "insufficient_scope", "This user is in none of the groups that may do this."}
	errMethod    = &challenge{http.StatusForbidden, "insufficient_scope", "The way in which this user signed in does not count here."}
	errClient    = &challenge{http.StatusForbidden, "insufficient_scope", "The token is a client's own, and this client may not do this."}
	errOver      = &challenge{http.StatusUnauthorized, "invalid_token", "The token has expired, or was revoked."}
)

// bearer finds out what the Authorization header of a request that has no
// session is worth here. All three are nil where no token is in it.
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

// bearerToken reads a token out of an Authorization header (RFC 6750 section
// 2.1). Other schemes are other people's.
func bearerToken(lines []string) (token string, there bool) {
	for _, line := range lines {
		scheme, credentials, _ := strings.Cut(line, " ")
		if strings.EqualFold(scheme, "Bearer") {
			return strings.Trim(credentials, " "), true
		}
	}
	return "", false
}

// clientOwn is the client whose own token it is, "" for a user's.
func clientOwn(token *oauth.Verified) string {
	if token != nil && token.Claims.Grant == "" {
		return token.Client.ID
	}
	return ""
}

// isPreflight says whether a browser asks what a script of another origin may
// send (Fetch, section 3.3.2): without credentials, a body, or another method
// in disguise.
func isPreflight(r *http.Request) bool {
	if r.Method != http.MethodOptions || r.ContentLength != 0 {
		return false
	}
	has := func(name string) bool { return len(r.Header[name]) > 0 }
	return has("Origin") && has("Access-Control-Request-Method") && !has("Authorization") && !disguised(r.Header)
}

// challenged refuses a token.
func (g *Gate) challenged(w http.ResponseWriter, c *challenge) {
	w.Header().Set("Www-Authenticate", `Bearer error="`+c.code+`", error_description="`+c.description+`"`)
	writeProblem(w, c.status, problem{Error: c.code, Description: c.description})
}

// forbidToken is for a token that counts, and does not suffice.
func (g *Gate) forbidToken(w http.ResponseWriter, r *http.Request, token *oauth.Verified) {
	e := oauth.Event{
		What: oauth.AccessDenied, User: token.User, Client: g.Client, Session: token.Session, Grant: token.Claims.Grant, From: g.From(r),
		Why: "in none of the groups " + strings.Join(g.Policy.Groups, ", "),
	}
	c := errGroup
	if own := clientOwn(token); own != "" {
		e.Why, c = "client "+own+" is not allowed here", errClient
	} else if !g.Client.Accepts(token.User) {
		e.Why, c = "signed in by "+token.User.Signin+", which does not count here", errMethod
	}
	g.Server.Audit.Record(e)
	g.challenged(w, c)
}
