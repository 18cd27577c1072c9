package oidc

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/endpoint"
	"github.com/caddy-sso/caddy-sso/oauth"
)

var introspectParams = []string{"token", "client_id", "client_secret"}

// introspection is what a token says (RFC 7662 section 2.2); inactive is all
// that is said of one that the caller has nothing to do with.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
}

var inactive introspection

// introspect answers POST /oauth2/introspect, for clients with a secret.
func (a *API) introspect(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodPost) {
		return
	}
	p, ok := a.form(w, r, introspectParams)
	if !ok {
		return
	}
	client, refusal := a.authenticate(r, p)
	switch {
	case refusal != nil:
		a.refuse(w, r, refusal)
		return
	case client.Public:
		a.refuse(w, r, &oauth.Error{Kind: oauth.ClientAuth, Description: "A public client cannot prove who it is."})
		return
	case p["token"] == "":
		a.refuse(w, r, oauth.MissingParam("token"))
		return
	}
	v, refusal := a.Server.VerifyAccess(r.Context(), p["token"])
	switch {
	case refusal != nil && refusal.Kind == oauth.InvalidToken:
		endpoint.WriteJSON(w, http.StatusOK, inactive)
		return
	case refusal != nil:
		a.refuse(w, r, refusal)
		return
	}
	c := v.Claims
	forAudience := func(aud string) bool { return slices.Contains(client.Audiences, aud) }
	if c.ClientID != client.ID && !slices.ContainsFunc(c.Audience, forAudience) {
		endpoint.WriteJSON(w, http.StatusOK, inactive)
		return
	}
	endpoint.WriteJSON(w, http.StatusOK, introspection{
		Active: true, Scope: strings.Join(c.Scopes, " "), ClientID: c.ClientID, Username: v.User.Name, TokenType: "Bearer",
		Expires: c.Expires, IssuedAt: c.IssuedAt, Subject: c.Subject, Audience: c.Audience, Issuer: c.Issuer, ID: c.ID,
	})
}
