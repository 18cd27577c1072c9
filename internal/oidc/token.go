package oidc

import (
	"net/http"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

var tokenParams = []string{
	"grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "audience",
}

// tokenBody is the answer to every grant type (RFC 6749 section 5.1).
type tokenBody struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token,omitempty"`
}

// token answers POST /oauth2/token.
func (a *API) token(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodPost) {
		return
	}
	client, p, ok := a.clientForm(w, r, tokenParams)
	if !ok {
		return
	}
	tokens, refusal := a.exchange(r, client, p)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
	httpapi.WriteJSON(w, http.StatusOK, tokenBody{
		AccessToken:  tokens.Access,
		TokenType:    "Bearer",
		ExpiresIn:    int64(tokens.ExpiresIn.Seconds()),
		RefreshToken: tokens.Refresh,
		Scope:        strings.Join(tokens.Scopes, " "),
		IDToken:      tokens.ID,
	})
}

func (a *API) exchange(r *http.Request, client *oauth.Client, p params) (*oauth.Tokens, *oauth.Error) {
	switch p["grant_type"] {
	case "authorization_code":
		for _, name := range []string{"code", "redirect_uri"} {
			if p[name] == "" {
				return nil, oauth.MissingParam(name)
			}
		}
		return a.Server.ExchangeCode(r.Context(), oauth.CodeRequest{
			Client: client, Code: p["code"], RedirectURI: p["redirect_uri"], Verifier: p["code_verifier"], IDToken: true, From: a.From(r),
		})
	case "refresh_token":
		if p["refresh_token"] == "" {
			return nil, oauth.MissingParam("refresh_token")
		}
		request := oauth.RefreshRequest{Client: client, Token: p["refresh_token"], IDToken: true, From: a.From(r)}
		if p["scope"] != "" {
			request.Scope = oauth.SplitList(p["scope"])
		}
		return a.Server.Refresh(r.Context(), request)
	case "client_credentials":
		return a.Server.ClientToken(r.Context(), client, oauth.SplitList(p["scope"]), oauth.SplitList(p["audience"]), a.From(r))
	case "":
		return nil, oauth.MissingParam("grant_type")
	}
	return nil, &oauth.Error{Kind: oauth.UnsupportedGrantType, Description: "grant_type should be authorization_code, refresh_token or client_credentials."}
}

// clientForm reads a form, and authenticates its client. If it cannot, it answers the
// request and returns false.
func (a *API) clientForm(w http.ResponseWriter, r *http.Request, names []string) (*oauth.Client, params, bool) {
	p, ok := a.form(w, r, names)
	if !ok {
		return nil, nil, false
	}
	client, refusal := httpapi.Authenticate(r, a.Server, a.From(r), p["client_id"], p["client_secret"], oauth.ClientAuth)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return nil, nil, false
	}
	return client, p, true
}
