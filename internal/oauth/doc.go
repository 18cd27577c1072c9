// Package oauth takes the decisions of the authorization server, without HTTP: which
// client makes a request and where its answer may go, whether it gets a code, what a code
// is redeemed for, and which grants are valid.
//
// The HTTP API packages (loginapi, licenseapi, oidc, portal) parse HTTP into the typed
// requests of this package. They render its typed results, and its [Error], in their own
// format. The gate redeems its codes here, too, without HTTP.
//
// # Codes
//
// The client, the redirect URI and the PKCE challenge are compared before a code is
// spent, so a wrong attempt costs the owner nothing. A spent code leaves a marker. A
// second redemption by its client ends the grant (RFC 9700 section 4.5). If a client
// proves within [RedemptionGrace], by its secret and the verifier, that it only sent the
// request twice, the request is refused and the grant goes on.
//
// # Grants
//
// A grant is not a session. Tokens name a grant and a session. Without the scope offline
// a grant ends with its session; nothing is stored for it until it ends by itself, so a
// redemption needs no write. With offline it is stored and outlives its session. A user
// has at most 64 such grants; the oldest ends first.
//
// If a user or an operator ends a session, the stored grants that were given in it end,
// too. They do not end with a sign-out, with idleness, with a back-channel logout (section
// 2.7) or with the limit of sessions. "Sign out everywhere else" ends all of them.
//
// The mark that a grant has ended is pinned in the store until all its tokens have
// expired. A stored grant needs no mark: it ends when its record is removed, so ending
// it needs no room in the store. A sign-in that stores a grant at the same moment looks at
// the user's list afterwards, and ends a grant that is not on it.
//
// # Refresh tokens
//
// A refresh token is valid once. It is sealed, so that knowing a grant is not enough to
// forge a token that looks used. The store has the hash of the current token's secret,
// and the successors of recently used tokens, each sealed with the secret of its
// predecessor.
//
//   - Within [RefreshGrace] a used token gives the current token, for tabs that race.
//   - After that, the direct predecessor gives its successor again until the successor is
//     used, since the answer may have been lost. The client must send the very sealed
//     token that it used. Each answer seals a token differently, so two holders with two
//     answers are told apart.
//   - Any other use of an old token ends the grant, and with it the whole family (RFC 9700
//     section 4.14.2).
//
// A token also has its number and the identity of the store that made it. A token that is
// newer than the stored record is accepted once, if the store's identity has changed
// since: a failover lost the record of the newer token.
//
// # Access tokens
//
// A verified token is remembered under its hash. So it costs neither a signature nor a
// read of the store when it comes again. Issuer, expiry, client and user are checked each
// time. The store's feed drops changed grants: see internal/feedcache.
//
// RS256 signs tokens for clients of the Login API. A client may use ES256 or EdDSA, or
// HS256 with a key that its backends know. Those backends could forge such tokens, so the
// grant is sealed inside the token together with a digest of its claims.
//
// # Consent
//
// Consent is checked where a code or token is issued, so no sign-in method can bypass it.
// A client with consent never costs no read and no allocation. A remembered consent is one
// record for each user and client. A code is redeemed only while the record exists, and a
// stored grant checks it once more after it is stored. An answer of the consent page is
// valid for five minutes and for one request.
//
// # Groups
//
// Groups have names here, and numbers in the Login API: a hash of 31 bits, so that all
// nodes agree. No group has the number of a configured group. If two configured groups
// have the same number, loading fails; any other such group is dropped where a user
// becomes known, so that gates, tokens and users/me agree.
//
// # Limits for each user
//
// The numbers of grants and sign-ins of a user are limited on each node, over reloads.
// Everything that is kept longer than a code is stored after it is counted. A refusal
// costs no code.
//
// # Ending a user
//
// Operators know users by name, and records are listed by subject. Users of signin local
// are found in the configuration. For other users the store has the subjects that a name
// has had; such an entry is used only with a session or grant of that name. Whatever is on
// no list is searched for in the background, one search at a time: see [Searches].
package oauth
