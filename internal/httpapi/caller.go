package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// SignedIn checks the SSO session of a request. Without a session it returns false
// and no error.
func SignedIn(r *http.Request, server *oauth.Server, cookie session.Cookie) (oauth.SignedIn, bool, *oauth.Error) {
	value, ok := cookie.Value(r)
	if !ok {
		return oauth.SignedIn{}, false, nil
	}
	in, err := server.SignedIn(r.Context(), value)
	switch {
	case err == nil:
		return in, true, nil
	case errors.Is(err, session.ErrNone):
		return oauth.SignedIn{}, false, nil
	}
	return oauth.SignedIn{}, false, oauth.Unavailable(err)
}

// BearerChallenge answers a request without an access token. It names no error, but
// must have a parameter (RFC 6750 section 3).
const BearerChallenge = `Bearer realm="sso"` //nolint:gosec // no credential

// Bearer returns the access token in the Authorization header of a request (RFC 6750
// section 2.1). It returns "" without a token, and for more than one header.
func Bearer(r *http.Request) string {
	lines := r.Header.Values("Authorization")
	if len(lines) != 1 {
		return ""
	}
	scheme, credentials, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(credentials)
}

// Authenticate authenticates the client by client_id and client_secret in the body,
// or by HTTP Basic, but never by both (RFC 6749 section 2.3). If the request names no
// client, the error is of the kind unnamed.
func Authenticate(r *http.Request, server *oauth.Server, from oauth.Origin, clientID, clientSecret string, unnamed oauth.Kind) (*oauth.Client, *oauth.Error) {
	switch headers := r.Header.Values("Authorization"); {
	case len(headers) > 1: // two parsers could find two different clients
		return nil, oauth.Invalid("The request has more than one Authorization header.")
	case len(headers) == 1 && headers[0] != "":
	case clientID == "":
		missing := oauth.MissingParam("client_id")
		missing.Kind = unnamed
		return nil, missing
	default:
		return server.Authenticate(from, clientID, clientSecret)
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		return nil, &oauth.Error{Kind: oauth.ClientAuth, Description: "The Authorization header should be HTTP Basic."}
	}
	if clientSecret != "" || (clientID != "" && clientID != id) {
		return nil, oauth.Invalid("The client should authenticate in the body or by HTTP Basic, not by both.")
	}
	// RFC 6749 section 2.3.1 requires URL encoding, but many clients send the secret
	// as it is. An ID consists of digits, which encoding does not change.
	decoded, err := url.QueryUnescape(secret)
	if err != nil {
		decoded = secret
	}
	return server.Authenticate(from, id, secret, decoded)
}
