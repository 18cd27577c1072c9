package oidc

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

var introspectParams = []string{"token", "client_id", "client_secret"}

// introspection is the answer for a token (RFC 7662 section 2.2). For a token of
// others the answer is inactive.
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
	client, p, ok := a.clientForm(w, r, introspectParams)
	switch {
	case !ok:
		return
	case client.Public:
		a.refuse(w, r, &oauth.Error{Kind: oauth.ClientAuth, Description: "A public client cannot prove who it is."})
		return
	case p["token"] == "":
		a.refuse(w, r, oauth.MissingParam("token"))
		return
	}
	said, refusal := a.introspected(r, client, p["token"])
	switch {
	case refusal != nil && refusal.Kind == oauth.InvalidToken:
		httpapi.WriteJSON(w, http.StatusOK, inactive)
	case refusal != nil:
		a.refuse(w, r, refusal)
	default:
		httpapi.WriteJSON(w, http.StatusOK, said)
	}
}

// introspected is the answer to a client for an access token that was issued to it or
// has one of its audiences, or for its own refresh token.
func (a *API) introspected(r *http.Request, client *oauth.Client, token string) (introspection, *oauth.Error) {
	v, refusal := a.Server.VerifyAccess(r.Context(), token)
	if refusal != nil && refusal.Kind == oauth.InvalidToken {
		return a.introspectedRefresh(r, client, token)
	}
	if refusal != nil {
		return inactive, refusal
	}
	c := v.Claims
	forAudience := func(aud string) bool { return slices.Contains(client.Audiences, aud) }
	if c.ClientID != client.ID && !slices.ContainsFunc(c.Audience, forAudience) {
		return inactive, nil
	}
	return introspection{
		Active: true, Scope: strings.Join(v.Scopes(), " "), ClientID: c.ClientID, Username: v.User.Name, TokenType: "Bearer",
		Expires: c.Expires, IssuedAt: c.IssuedAt, Subject: c.Subject, Audience: c.Audience, Issuer: c.Issuer, ID: c.ID,
	}, nil
}

func (a *API) introspectedRefresh(r *http.Request, client *oauth.Client, token string) (introspection, *oauth.Error) {
	live, refusal := a.Server.IntrospectRefresh(r.Context(), client, token)
	if refusal != nil {
		return inactive, refusal
	}
	return introspection{
		Active: true, Scope: strings.Join(live.Scopes, " "), ClientID: client.ID, Username: live.User.Name,
		Expires: live.Expires, IssuedAt: live.Issued, Subject: live.User.Subject, Audience: live.Audience, Issuer: a.Server.Issuer,
	}, nil
}
