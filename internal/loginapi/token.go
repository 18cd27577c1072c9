package loginapi

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

var tokenParams = []string{
	"grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "refresh_token",
	"scope", "audience",
	"subject_token", "subject_token_type", "requested_token_type", "actor_token", "resource",
}

// tokenBody is the answer to every grant type.
type tokenBody struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`

	// One public client crashes if refresh_token is missing. So it is there, and
	// empty without the scope offline. Nil leaves it out, for an exchanged token.
	RefreshToken *string `json:"refresh_token,omitempty"`

	TokenType  string `json:"token_type"`
	IssuedType string `json:"issued_token_type,omitempty"` // RFC 8693 section 2.2.1
}

// token answers POST /api/oauth2/token.
func (a *API) token(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodPost) {
		return
	}
	p, ok := a.form(w, r, tokenParams)
	if !ok {
		return
	}
	client, refusal := a.authenticate(r, p)
	if refusal = refusal.And(checkGrant(p)); refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	switch p.get("grant_type") {
	case "authorization_code":
		tokens, refusal := a.Server.ExchangeCode(r.Context(), oauth.CodeRequest{
			Client:      client,
			Code:        p.get("code"),
			RedirectURI: p.get("redirect_uri"),
			Verifier:    p.get("code_verifier"),
			From:        a.From(r),
		})
		a.answer(w, r, tokens, refusal)
	case "refresh_token":
		request := oauth.RefreshRequest{Client: client, Token: p.get("refresh_token"), From: a.From(r)}
		if p.get("scope") != "" {
			request.Scope = oauth.SplitList(p.get("scope"))
		}
		tokens, refusal := a.Server.Refresh(r.Context(), request)
		a.answer(w, r, tokens, refusal)
	case "client_credentials":
		tokens, refusal := a.Server.ClientToken(r.Context(), client, oauth.SplitList(p.get("scope")), oauth.SplitList(p.get("audience")), a.From(r))
		a.answer(w, r, tokens, refusal)
	default:
		a.exchangeGrant(w, r, client, p)
	}
}

// checkGrant says what is wrong with a request before anything is looked up.
func checkGrant(p *params) *oauth.Error {
	switch p.get("grant_type") {
	case "authorization_code":
		return p.require("code", "redirect_uri")
	case "refresh_token": // real clients send it empty if they got none
		return p.require("refresh_token")
	case "client_credentials":
		return nil
	case tokenExchange, publishedTokenExchange:
		return checkExchange(p)
	case "":
		return oauth.MissingParam("grant_type")
	}
	unsupported := oauth.InvalidParam("grant_type", "should be one of [authorization_code refresh_token client_credentials "+publishedTokenExchange+"].")
	unsupported.Kind = oauth.UnsupportedGrantType
	return unsupported
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, tokens *oauth.Tokens, refusal *oauth.Error) {
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	writeTokens(w, tokenBody{AccessToken: tokens.Access, ExpiresIn: int64(tokens.ExpiresIn.Seconds()), RefreshToken: &tokens.Refresh})
}

func writeTokens(w http.ResponseWriter, body tokenBody) {
	body.TokenType = "bearer"
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
	httpapi.WriteJSON(w, http.StatusOK, body)
}

// form reads a urlencoded body. If it cannot, it answers the request and returns false.
func (a *API) form(w http.ResponseWriter, r *http.Request, names []string) (*params, bool) {
	raw, status, refusal := httpapi.ReadForm(w, r)
	if refusal != nil {
		a.writeError(w, r, status, "0", refusal)
		return nil, false
	}
	p, refusal := parseParams(raw, names)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return nil, false
	}
	return &p, true
}

// authenticate authenticates the client of a form.
func (a *API) authenticate(r *http.Request, p *params) (*oauth.Client, *oauth.Error) {
	return httpapi.Authenticate(r, a.Server, a.From(r), p.get("client_id"), p.get("client_secret"), oauth.InvalidRequest)
}
