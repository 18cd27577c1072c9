package oauth

import (
	"net/url"
	"slices"
	"unicode/utf8"
)

// checkShape checks everything that is the same for all clients.
func (r *AuthorizeRequest) checkShape() *Error {
	var wrong *Error
	switch r.ResponseType {
	case "code":
	case "":
		wrong = wrong.And(MissingParam("response_type"))
	default:
		wrong = wrong.And(InvalidParam("response_type", "should be code."))
	}
	if utf8.RuneCountInString(r.State) < MinStateLength {
		wrong = wrong.And(paramError(InvalidState, "state", "state should have at least 8 characters."))
	}
	if r.Scope == nil && !r.Optional {
		wrong = wrong.And(MissingParam("scope"))
	}
	return wrong
}

// checkRedirectURI finds the registration of a requested URI. If the client is
// unknown, the only possible error is that the URI is missing.
func (c *Client) checkRedirectURI(requested string, optional bool) (RedirectURI, *Error) {
	switch {
	case c == nil && (requested != "" || optional):
		return RedirectURI{}, nil
	case requested == "":
		return RedirectURI{}, MissingParam("redirect_uri")
	}
	redirect, registered := c.RedirectURI(requested)
	if !registered {
		return RedirectURI{}, c.unregisteredURI(requested)
	}
	return redirect, nil
}

func (c *Client) unregisteredURI(requested string) *Error {
	registered := make([]string, 0, len(c.RedirectURIs))
	for _, r := range c.RedirectURIs {
		registered = append(registered, r.Raw)
	}
	return unregistered(c, "redirect_uri", requested, registered)
}

func (c *Client) checkFailAuthURL(requested string) *Error {
	if requested == "" || c == nil || c.FailAuthURL(requested) {
		return nil
	}
	registered := make([]string, 0, len(c.FailAuthURLs))
	for _, f := range c.FailAuthURLs {
		registered = append(registered, f.Raw)
	}
	return unregistered(c, "fail_auth_url", requested, registered)
}

// audience checks the values of the audience parameter. Each is URL-encoded inside
// the list, since the separator is a space. Without a value it is the first
// registered audience, if the client allows that. If the client is unknown, the only
// possible error is that the parameter is missing.
func (c *Client) audience(asked []string, optional bool) ([]string, *Error) {
	switch {
	case c == nil && (len(asked) > 0 || optional):
		return nil, nil
	case len(asked) == 0 && c != nil && c.DefaultAudience:
		return []string{c.defaultAudience()}, nil
	case len(asked) == 0:
		return nil, MissingParam("audience")
	}
	granted := make([]string, 0, len(asked))
	for _, a := range asked {
		if !slices.Contains(c.Audiences, a) {
			decoded, err := url.QueryUnescape(a)
			if err != nil || !slices.Contains(c.Audiences, decoded) {
				return nil, unregistered(c, "audience", a, c.Audiences)
			}
			a = decoded
		}
		if !slices.Contains(granted, a) {
			granted = append(granted, a)
		}
	}
	return granted, nil
}

// checkChallenge checks PKCE, which a public client must use.
func (c *Client) checkChallenge(challenge, method string) *Error {
	switch {
	case challenge == "" && method != "" && method != S256:
		return MissingParam("code_challenge").And(invalidMethod())
	case challenge == "" && method != "":
		return MissingParam("code_challenge")
	case challenge == "" && c != nil && c.Public && !c.AllowNoPKCE:
		return InvalidParam("code_challenge", "is missing: a public client has to use PKCE.")
	case challenge == "":
		return nil
	case method != S256 && !validChallenge(challenge):
		return invalidMethod().And(invalidChallenge())
	case method != S256:
		return invalidMethod()
	case !validChallenge(challenge):
		return invalidChallenge()
	}
	return nil
}

func invalidMethod() *Error { return InvalidParam("code_challenge_method", "should be S256.") }

func invalidChallenge() *Error {
	return InvalidParam("code_challenge", "should be the base64url of a SHA-256 digest.")
}
