package options

import "fmt"

// providerIssuers are the issuers of well-known OpenID Connect providers, by the
// names that operators try after signin. The operator replaces the text in <…>.
var providerIssuers = map[string]string{
	"google": "https://accounts.google.com", "apple": "https://appleid.apple.com", "gitlab": "https://gitlab.com",
	"microsoft": microsoftIssuer, "azure": microsoftIssuer, "azuread": microsoftIssuer, "entra": microsoftIssuer, "entraid": microsoftIssuer, "office365": microsoftIssuer,
	"okta": "https://<domain>.okta.com", "auth0": "https://<tenant>.auth0.com/", "onelogin": "https://<domain>.onelogin.com/oidc/2",
	"keycloak": "https://<host>/realms/<realm>", "authentik": "https://<host>/application/o/<slug>/", "authelia": "https://<host>",
	"zitadel": "https://<host>", "dex": "https://<host>/dex", "gitea": "https://<host>", "forgejo": "https://<host>",
	"cognito": "https://cognito-idp.<region>.amazonaws.com/<pool>", "slack": "https://slack.com", "linkedin": "https://www.linkedin.com/oauth",
	"twitch": "https://id.twitch.tv/oauth2", "discord": "https://discord.com", "epic": epicIssuer, "epicgames": epicIssuer,
	"battlenet": "https://oauth.battle.net",
}

const (
	microsoftIssuer = "https://login.microsoftonline.com/<tenant ID>/v2.0"
	epicIssuer      = "https://api.epicgames.dev/epic/oauth/v2"
)

// providerScopes are for providers that do not know our default scopes, profile and
// email.
var providerScopes = map[string]string{
	"discord": "`scope identify email`, ", "epic": "`scope basic_profile`, ", "epicgames": "`scope basic_profile`, ",
	"twitch": "`scope user:read:email`, ", "battlenet": "`scope openid`, ",
	"apple": "`scope email name`, `authorize_param response_mode form_post`, ",
}

// otherProtocols are the protocols of services that are not OpenID Connect providers.
var otherProtocols = map[string]string{
	"github": oauthAlone, "bitbucket": oauthAlone, "reddit": oauthAlone, "twitter": oauthAlone, "x": oauthAlone, "patreon": oauthAlone,
	"steam": "OpenID 2.0, which is another protocol", "saml": "SAML", "ldap": "LDAP", "radius": "RADIUS",
	"xbox": protocolOfItsOwn, "playstation": protocolOfItsOwn, "psn": protocolOfItsOwn, "nintendo": protocolOfItsOwn,
}

const (
	oauthAlone       = "only OAuth 2.0, which does not identify users"
	protocolOfItsOwn = "a protocol of its own"
)

// providerAdvice explains how users of a service can sign in, if the operator wrote
// its name in place of a sign-in method. It is empty for an unknown name.
func providerAdvice(name string) string {
	if issuer, ok := providerIssuers[name]; ok {
		return fmt.Sprintf("it is an OpenID Connect provider: write `signin oidc %s {`, `issuer %s`, `client_id <ID>`, `client_secret <secret>`, %s`}`, each on its own line", name, issuer, providerScopes[name])
	}
	if protocol, ok := otherProtocols[name]; ok {
		return fmt.Sprintf("it is not an OpenID Connect provider: it has %s; use an OpenID Connect provider that connects to it, such as Keycloak or authentik (signin oidc), or a page of your own (signin trusted)", protocol)
	}
	if name == "openid" || name == "oauth" || name == "oauth2" || name == "sso" {
		return "expected for example: signin oidc acme { … }"
	}
	return ""
}
