// Package gate decides what happens to a request to a protected route: the gate
// forwards it with a trustworthy identity, sends the browser to sign in, or denies it.
//
// A gate sees every request of its site. First it deletes every header that looks like
// an identity header, removes the project's cookies, and answers its own endpoints
// below /oauth2/. Then, if its matcher matches, it applies its [Policy]. It redeems codes
// and reads sessions in process, without a second request.
//
// # Identity headers
//
// Only a gate sets identity headers. It deletes every spelling (case, "-", "_", ".")
// from every request and trailer, and a Connection header cannot remove what it sets:
// see [Headers].
//
// # Sessions and tokens
//
// A session is used before a token, and a token beside a session is no error, since a
// backend may have an Authorization header of its own. Without a session, a bearer token
// is an identity or a challenge, and never a redirect. A request ends with its session,
// or with its token: with the token's grant, and when it expires.
//
// # Rules
//
// [Rules] say which users may pass: data that is decided from memory, without I/O and
// without an allocation. A rule that denies fails closed: what it needs and could not be
// read in full denies. A client's own token is no user, and passes whatever they say. No
// user is told which rule it was; the audit log is.
//
// MaxAge asks for a fresh sign-in. The gate asks the portal for a session whose user was
// authenticated within half of MaxAge, so what the portal accepts is never too old at
// the gate. If the callback brings an older one all the same, the user gets a page, and
// is not sent around again.
//
// # Browsers and scripts
//
// Only a navigation is redirected. Fetch Metadata, Accept and X-Requested-With tell it
// from the request of a script, an event stream or a WebSocket. Those get 401 and JSON
// with the URL to sign in.
//
// # Forms
//
// A page of the same origin may POST a form without a session. The browser gets the form
// back and keeps its bytes in sessionStorage. The return path of the sealed state names a
// page of the gate that sends the form after the sign-in, once. If another user signed in
// than before, the page asks first. Only a form that a browser sends again byte for byte
// is kept. A form from another site is never kept, since it would be sent in the name of
// the user who signs in.
//
// # Upgrades
//
// A connection becomes a WebSocket, or stays HTTP. Any other Upgrade header is removed,
// unless a setting allows the protocol: with h2c a client could send requests that no
// gate sees. A CONNECT is refused: Caddy sends its body without framing to HTTP/1.1
// backends, which read it as the next request.
//
// # Paths
//
// A gate with a matcher refuses paths that backends and matchers read differently: two
// slashes at the beginning, dot segments, ";", "\", and %2f, %5c, %3f, %23 encoded once
// or twice. It deletes X-Original-URL and X-Rewrite-URL from requests that it passes on
// because of their path. AllowRawPath switches this off.
//
// # Redirect loops
//
// The gate repairs what another request to the portal can repair: a spent or expired
// code, or a state that is too old or bound to a cookie that another tab replaced. If
// another tab has a session meanwhile, that suffices. The third attempt, or the seventh
// of a browser that sends a cookie, counts as a loop. It ends in a page that names the
// cause, and in a log line that names the setting. The same happens if a site session is
// not found three times in a row just after it began, and if a state of this gate comes
// back by another path than redirect_uri has.
//
// # Several gates
//
// Several gates on one site share what the first one found, and their policies add up.
// The shared values are in Caddy's table of variables, which the request of an error
// route has, too. So a gate there knows the user, although the first gate removed the
// cookies.
package gate
