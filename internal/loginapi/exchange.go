package loginapi

import (
	"net/http"
	"slices"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// The grant type of RFC 8693, and its spelling in the published Login API.
const (
	tokenExchange          = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // the name of a grant type
	publishedTokenExchange = "urn:ietf:params:oauth:grant-type:token_exchange" //nolint:gosec // the name of a grant type
)

// The token types of RFC 8693 section 3 that name an access token. Ours is both an
// access token and a JWT.
const accessTokenType = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // the name of a type

var accessTokenTypes = []string{"", accessTokenType, "urn:ietf:params:oauth:token-type:jwt"}

// exchangeGrant exchanges an access token for a narrower one (RFC 8693).
func (a *API) exchangeGrant(w http.ResponseWriter, r *http.Request, client *oauth.Client, p *params) {
	request := oauth.ExchangeRequest{
		Client: client, Token: p.get("subject_token"), Audience: oauth.SplitList(p.get("audience")), From: a.From(r),
	}
	if p.has("scope") {
		request.Scope = oauth.SplitList(p.get("scope"))
	}
	tokens, refusal := a.Server.ExchangeToken(r.Context(), request)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	writeTokens(w, tokenBody{AccessToken: tokens.Access, ExpiresIn: int64(tokens.ExpiresIn.Seconds()), IssuedType: accessTokenType})
}

func checkExchange(p *params) *oauth.Error {
	var wrong *oauth.Error
	for _, name := range []string{"actor_token", "resource"} {
		if p.get(name) != "" {
			wrong = wrong.And(oauth.InvalidParam(name, "is not supported."))
		}
	}
	for _, name := range []string{"subject_token_type", "requested_token_type"} {
		if !slices.Contains(accessTokenTypes, p.get(name)) {
			wrong = wrong.And(oauth.InvalidParam(name, "should be "+accessTokenType+"."))
		}
	}
	return wrong.And(p.require("subject_token"))
}
