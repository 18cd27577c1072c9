// Package provider is the sign-in method for an OpenID Connect provider: the client of
// discovery, authorization code flow with PKCE, ID token, userinfo, refresh token and
// back-channel logout.
//
// A provider may be slow or hostile. Every answer has a bound in size and time, and nothing
// of an ID token is believed before its signature and its nonce were verified. The provider
// is asked at the first sign-in, and never at load.
//
// # Back-channel logout
//
// A session keeps the provider's ID of its own session, in the store only. A logout token
// that is obviously wrong costs neither a signature nor a key. Unauthenticated requests can
// make the portal read the provider's keys at most every ten seconds.
//
// # Refresh tokens
//
// With the setting recheck, the provider's refresh token is sealed in the session's record.
// The write that extends a session also claims the next question, so one node asks, in the
// background, and no request waits. Only invalid_grant ends a session. Before a token is
// sent, that is stored: if its answer was lost, the token may be used up, and invalid_grant
// ends the session only if it comes again a day later.
package provider
