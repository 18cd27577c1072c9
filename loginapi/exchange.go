package loginapi

import (
	"net/http"
	"slices"

	"github.com/caddy-sso/caddy-sso/oauth"
)

// The token types of RFC 8693 section 3 that are taken for an access token, and
// given: ours is both.
const accessTokenType = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // the name of a type

var accessTokenTypes = []string{"", accessTokenType, "urn:ietf:params:oauth:token-type:jwt"}

// exchangeGrant trades an access token for a narrower one (RFC 8693).
func (a *API) exchangeGrant(w http.ResponseWriter, r *http.Request, client *oauth.Client, p *params) {
	for _, name := range []string{"actor_token", "resource"} {
		if p.get(name) != "" {
			a.refuse(w, r, oauth.Invalid(name+" is not supported."))
			return
		}
	}
	for _, name := range []string{"subject_token_type", "requested_token_type"} {
		if !slices.Contains(accessTokenTypes, p.get(name)) {
			a.refuse(w, r, oauth.Invalid(name+" should be "+accessTokenType+"."))
			return
		}
	}
	if p.get("subject_token") == "" {
		a.refuse(w, r, oauth.Invalid("subject_token is missing."))
		return
	}
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
	writeTokens(w, tokens, accessTokenType)
}
