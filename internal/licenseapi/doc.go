// Package licenseapi is the HTTP API package of the License API: the endpoints at
// which licensed software gets the URL of a sign-in page, and the check of license
// credentials in requests to the gate. The package parses requests and renders
// answers; package oauth decides.
//
// # Links
//
// Nothing is stored for a link until it is used. Its handle seals what it leads to, and its
// ID makes it single-use. The published signature covers only a date and can be replayed,
// so no irreversible decision depends on it.
//
// # Activation
//
// A license gate sends no browser to sign in. It verifies the credential in a request to
// the vendor's backend. The backend gets the identical bytes, or nothing. A body that two
// parsers could read differently is refused.
//
// If the answer to an activation is lost, the very same request succeeds once more within a
// minute: the marker of the spent code has the request's fingerprint. One write stores both,
// so neither an outage nor a race comes in between.
//
// # The signature key
//
// The key of the signature header is not rotated, since licensed software has its public
// half built in. If several nodes made keys, the oldest one is used.
package licenseapi
