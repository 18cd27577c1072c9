// Package licenseapi is the face that speaks the License API, and checks the
// license credentials that requests to the gate carry. It has no endpoint yet.
package licenseapi
