// Package oidc is the face that speaks standard OAuth 2.0 and OpenID Connect.
// It has no endpoint yet.
package oidc
