package oidc

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/keys"
)

// metadata is the discovery document (OpenID Connect Discovery section 3, RFC 8414
// section 2). It names only what is supported.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Keys          string `json:"jwks_uri"`
	UserInfo      string `json:"userinfo_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	EndSession    string `json:"end_session_endpoint"`

	Scopes               []string         `json:"scopes_supported"`
	Claims               []string         `json:"claims_supported"`
	ResponseTypes        []string         `json:"response_types_supported"`
	ResponseModes        []string         `json:"response_modes_supported"`
	GrantTypes           []string         `json:"grant_types_supported"`
	Prompts              []string         `json:"prompt_values_supported"`
	SubjectTypes         []string         `json:"subject_types_supported"`
	Algorithms           []keys.Algorithm `json:"id_token_signing_alg_values_supported"`
	ChallengeMethods     []string         `json:"code_challenge_methods_supported"`
	TokenMethods         []string         `json:"token_endpoint_auth_methods_supported"`
	IntrospectionMethods []string         `json:"introspection_endpoint_auth_methods_supported"`
	RevocationMethods    []string         `json:"revocation_endpoint_auth_methods_supported"`

	ResponseIssuer bool `json:"authorization_response_iss_parameter_supported"`
	RequestObject  bool `json:"request_parameter_supported"`
	RequestURI     bool `json:"request_uri_parameter_supported"`
	ClaimsRequest  bool `json:"claims_parameter_supported"`
}

// configuration answers GET /.well-known/openid-configuration and GET
// /.well-known/oauth-authorization-server.
func (a *API) configuration(w http.ResponseWriter, r *http.Request) {
	if !allowedPublic(w, r) {
		return
	}
	issuer := a.Server.Issuer
	m := metadata{
		Issuer:        issuer,
		Authorization: issuer + authorizePath,
		Token:         issuer + tokenPath,
		Keys:          issuer + keysPath,
		UserInfo:      issuer + userInfoPath,
		Introspection: issuer + introspectPath,
		Revocation:    issuer + revokePath,
		EndSession:    issuer + endSessionPath,

		Scopes: []string{"openid", "profile", "email", "groups", "offline_access"},
		Claims: []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "gid",
			"name", "preferred_username", "picture", "email", "email_verified", "groups",
		},
		ResponseTypes:        []string{"code"},
		ResponseModes:        []string{"query", "form_post"},
		GrantTypes:           []string{"authorization_code", "refresh_token", "client_credentials"},
		Prompts:              []string{"none", "login", "consent", "select_account"},
		SubjectTypes:         []string{"public"},
		Algorithms:           a.Server.Clients.Algorithms(),
		ChallengeMethods:     []string{"S256"},
		TokenMethods:         []string{"client_secret_basic", "client_secret_post", "none"},
		IntrospectionMethods: []string{"client_secret_basic", "client_secret_post"},
		RevocationMethods:    []string{"client_secret_basic", "client_secret_post", "none"},

		ResponseIssuer: true,
	}
	if a.Server.Licenses != nil { // for links of the License API
		m.ResponseTypes = append(m.ResponseTypes, "id_token token")
		m.ResponseModes = append(m.ResponseModes, "fragment")
		m.GrantTypes = append(m.GrantTypes, "implicit")
	}
	httpapi.WritePublic(w, "application/json", m)
}
