// Package portal has the hosted pages: sign-in, consent, account, sessions, sign-out, and
// the widget of a popup; and the flow of a sign-in behind them.
//
// # Three steps
//
// A sign-in has three steps, for the page, for the JSON endpoints and for the callback of
// a provider alike: a sign-in method checks the first factor; the remaining steps run,
// which are a list (see [Step]); the session begins.
//
// # Transactions
//
// The server stores nothing for unauthenticated users. Until the credentials arrive, a
// sign-in transaction is a sealed value in the form, bound to a cookie that all tabs
// share. After the sign-in a record makes the transaction single-use. The state of a
// sign-in at a provider is sealed the same way, with nonce and PKCE verifier. Any other
// answer of a provider signs no user in.
//
// # Password attempts
//
// Every attempt does the same work, for known, unknown and disabled users: one hash of
// each cost among the accounts is compared, the user's own or a decoy. One comparison runs
// on each core. Sixteen for each core wait, at most ten seconds; more get 503, which is no
// failed attempt. One address gets about as many at a time as there are cores, and one
// name gets one, so a burst delays no other user. Known devices have their own queue.
//
// Failed attempts are counted for each address, and for each typed name, whether or not
// the account exists. A name and an e-mail address have half of the account's limit each,
// so that no answer tells whether they belong to one account. If the account's own limit
// is reached, a right password is answered like a wrong one.
//
// A device that knows the password has its own limit, so that others cannot lock its owner
// out. Its cookie has a mark of the password, and is worthless after a change of the
// password. Counts belong to one node, and survive a reload.
//
// # Users of several methods
//
// Users of two sign-in methods are two users, unless link_email links them. Then the
// session names both: clients decide by the method of the sign-in, and the method that
// the user belongs to is asked at every request whether the user still exists. A user of
// another method never gets the name of a local user.
//
// # Cross-site requests
//
// net/http.CrossOriginProtection is used beside the binding of transactions. A GET that
// signs out does so at once only if no page of an unregistered origin can have led there,
// and never when a browser prefetches. A session of another user is replaced only after a
// click on a page of this browser.
//
// # Answers to forms
//
// The answer to a form is a page with a link that a script follows, and never a redirect:
// Chromium applies the form-action of the page to all redirects that follow, and the page
// cannot know where an application redirects to. A posted answer of a provider comes
// without our SameSite=Lax cookies; a page sends its fields once more from our own origin.
package portal
