package oauth

import "slices"

// Access without a session is the scope offline in the Login API, in tokens and in
// stored records, and offline_access in OpenID Connect (Core section 11).
const (
	offline       = "offline"
	offlineAccess = "offline_access"
)

// openIDScopes returns the scopes of a request that the client is registered for.
// openid needs no registration, and offline_access is the name of offline in OpenID
// Connect (Core section 11).
func (c *Client) openIDScopes(asked []string) []string {
	if i := slices.Index(asked, offlineAccess); i >= 0 {
		asked = slices.Clone(asked)
		asked[i] = offline
	}
	granted := c.grantable(asked)
	if slices.Contains(asked, "openid") && !slices.Contains(granted, "openid") {
		granted = append([]string{"openid"}, granted...)
	}
	return granted
}

// asRequested returns granted scopes with the names that the request used.
func asRequested(scopes []string, asOfflineAccess bool) []string {
	i := slices.Index(scopes, offline)
	if i < 0 || !asOfflineAccess {
		return scopes
	}
	scopes = slices.Clone(scopes)
	scopes[i] = offlineAccess
	return scopes
}

// refreshedScopes returns the scopes of an answer to a refresh (RFC 6749 section 6):
// the granted scopes, or the requested part of them. The requested scopes are nil if
// the request names none.
func (g *offlineGrant) refreshedScopes(asked []string) []string {
	if asked == nil {
		return asRequested(g.Scopes, g.OfflineAccess)
	}
	asOfflineAccess := slices.Contains(asked, offlineAccess)
	return slices.DeleteFunc(slices.Clone(asRequested(g.Scopes, asOfflineAccess)), func(have string) bool { return !slices.Contains(asked, have) })
}
