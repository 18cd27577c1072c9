package oauth

import "slices"

// What outlives a session is scope offline in the Login API, in tokens and in what
// is stored, and offline_access in OpenID Connect (Core section 11).
const (
	offline       = "offline"
	offlineAccess = "offline_access"
)

// openIDScopes are the scopes of a request that the client is registered for.
// openid itself asks for no more than that the user signed in, and
// offline_access is what OpenID Connect calls offline (Core section 11).
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

// spelled are granted scopes as an answer names them: as they were asked for.
func spelled(scopes []string, asOfflineAccess bool) []string {
	i := slices.Index(scopes, offline)
	if i < 0 || !asOfflineAccess {
		return scopes
	}
	scopes = slices.Clone(scopes)
	scopes[i] = offlineAccess
	return scopes
}

// refreshedScopes are those that the answer to a refresh names (RFC 6749 section
// 6): what was granted, or, where less was asked for, that. Asked for is nil where
// the request names none.
func (g *offlineGrant) refreshedScopes(asked []string) []string {
	if asked == nil {
		return spelled(g.Scopes, g.OfflineAccess)
	}
	asOfflineAccess := slices.Contains(asked, offlineAccess)
	return slices.DeleteFunc(slices.Clone(spelled(g.Scopes, asOfflineAccess)), func(have string) bool { return !slices.Contains(asked, have) })
}
