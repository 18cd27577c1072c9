package caddymodule

import "testing"

// What people write by mistake is refused with what they have to write.
func TestAMistakeIsRefusedOnItsLineWithItsRemedy(t *testing.T) {
	for _, c := range []struct {
		name, old, spoiled, line string
		want                     []string
	}{
		{"an issuer that is no ASCII", "issuer https://login.example", "issuer https://bücher.example", "issuer", []string{"expected https://xn--bcher-kva.example"}},
		{"an issuer with IPv6 in full", "issuer https://login.example", "issuer https://[2001:db8:0:0:0:0:0:1]:443", "issuer", []string{"expected https://[2001:db8::1]"}},
		{"an issuer with an octal address", "issuer https://login.example", "issuer https://0300.0.02.1", "issuer", []string{"expected https://192.0.2.1"}},
		{"an issuer with a short address", "issuer https://login.example", "issuer http://127.1:8080", "issuer", []string{"expected http://127.0.0.1:8080"}},
		{"an issuer that ends with a dot", "issuer https://login.example", "issuer https://login.example.", "issuer", []string{"expected https://login.example"}},
		{"an issuer with a zero before its port", "issuer https://login.example", "issuer https://login.example:08443", "issuer", []string{"expected https://login.example:8443"}},
		{"an issuer with a host that is none", "issuer https://login.example", "issuer https://login.256", "issuer", []string{"has a host that no browser knows"}},
		{"an issuer from the environment of the server", "issuer https://login.example", "issuer {env.ISSUER}", "issuer", []string{"{env.ISSUER} is replaced in secrets only", "write {$ISSUER}"}},
		{"a client_id from the environment of the server", "signin local {", "signin oidc acme {\nclient_id {env.ID}\n}\nsignin local {", "client_id", []string{"client_id: {env.ID} is replaced in secrets only", "write {$ID}"}},
		{"a parameter from the environment of the server", "signin local {", "signin oidc acme {\nauthorize_param hd {env.HD}\n}\nsignin local {", "authorize_param", []string{"write {$HD}"}},
		{"a storage in a folder of the environment", "storage memory", "storage file {env.DATA}/sso.db", "storage file", []string{"write {$DATA}"}},
		{"a group from a file", "group players", "group {file./groups}", "group", []string{"write the value itself"}},
		{"a redirect URI with a wildcard in its path", "redirect_uri https://game.example/oauth2/callback", "redirect_uri https://game.example/*", "redirect_uri", []string{"wildcard", "in full"}},
		{"a redirect URI that is no ASCII", "redirect_uri https://game.example/oauth2/callback", "redirect_uri https://bücher.example/café", "redirect_uri", []string{"register https://xn--bcher-kva.example/caf%C3%A9"}},
		{"a redirect URI with the default port", "redirect_uri https://game.example/oauth2/callback", "redirect_uri https://Game.example:443/cb", "redirect_uri", []string{"register https://game.example/cb"}},
		{"a redirect URI with dots", "redirect_uri https://game.example/oauth2/callback", "redirect_uri https://game.example/a/%2e%2E/cb", "redirect_uri", []string{"register https://game.example/cb"}},
		{"a fail_auth_url with a wildcard", "fail_auth_url https://game.example/signed-out", "fail_auth_url https://game.example/*", "fail_auth_url", []string{"wildcard", "stands for its whole origin"}},
		{"oidc with a discovery document as its issuer", "signin local {", "signin oidc g {\nissuer https://accounts.google.com/.well-known/openid-configuration\n}\nsignin local {", "issuer https://accounts", []string{"discovery document", "likely: https://accounts.google.com,"}},
		{"the same of a realm", "signin local {", "signin oidc g {\nissuer https://a.example/realms/x/.well-known/openid-configuration\n}\nsignin local {", "issuer https://a", []string{"likely: https://a.example/realms/x,"}},
		{"the same of Auth0, whose issuers end with a slash", "signin local {", "signin oidc g {\nissuer https://a.eu.auth0.com/.well-known/openid-configuration\n}\nsignin local {", "issuer https://a", []string{"likely: https://a.eu.auth0.com/,"}},
		{"a provider as a method", "signin local {", "signin google {\nclient_id x\n}\nsignin local {", "signin google", []string{`signin oidc google {`, `issuer https://accounts.google.com`}},
		{"a provider as a method, with scopes of its own", "signin local {", "signin discord\nsignin local {", "signin discord", []string{`issuer https://discord.com`, `scope identify email`}},
		{"a provider as a method, at the operator's", "signin local {", "signin keycloak\nsignin local {", "signin keycloak", []string{`issuer https://<host>/realms/<realm>`}},
		{"a service without OpenID Connect", "signin local {", "signin github\nsignin local {", "signin github", []string{"not an OpenID Connect provider: it has only OAuth 2.0", "signin trusted"}},
		{"Steam", "signin local {", "signin steam\nsignin local {", "signin steam", []string{"not an OpenID Connect provider: it has OpenID 2.0"}},
		{"a misspelt method", "signin local {", "signin lokal {", "signin lokal", []string{`did you mean "local"?`}},
		{"a session on one line", "brand {", "session idle 8h\nbrand {", "session idle", []string{`session: unexpected "idle"`, "`session {` `cache <number>` `idle <duration>`"}},
		{"attempts on one line", "attempts {", "attempts 5 15m\nattempts {", "attempts 5", []string{`attempts: unexpected "5"`, "`attempts {` `every <duration>` `per_account <number>` `per_address <number>` `}`"}},
		{"a gate on one line", "sso_gate {", "sso_gate client 1\nsso_gate {", "sso_gate client", []string{`unexpected "client"`, "sso_gate [@<matcher> | /<path>] {", "client <id>"}},
		{"a user in the block of sso", "issuer https://login.example", "issuer https://login.example\nuser ann x", "user ann", []string{`unknown option "user"; it belongs in: signin local`}},
		{"a misspelt setting", "name Game", "redirect_url https://a.example/cb", "redirect_url", []string{`did you mean "redirect_uri"?`}},
		{"a matcher as a setting of a gate", "header_prefix X-SSO-", "path /admin/*", "path", []string{"it is a matcher", "sso_gate @private {"}},
		{"a matcher that is not defined", "sso_gate {", "sso_gate @private {", "sso_gate @private", []string{"define it on this site, for example: @private path /admin /admin/*"}},
		{"idle without a unit", "idle 24h", "idle 30", "idle 30", []string{`"30" has no unit; write for example 30s, 30m`}},
		{"a block for a setting that has none", "header_prefix X-SSO-", "popup {\nx\n}", "popup", []string{"takes no block"}},
		{"a secret of several words", "\t\t\tpublic\n", "secret correct horse\n", "secret", []string{"in quotes"}},
		{"a name of several words", "user demo HASH {", "user Demo User HASH {", "user Demo", []string{`user "Ada Lovelace" <hash>`}},
		{"require with another word", "header_prefix X-SSO-", "require groups players", "require", []string{"require groups: expected user, group, email, email_domain, claim, signin or any; write one of: require group <name>..."}},
		{"require without a word", "header_prefix X-SSO-", "require", "require", []string{"require: expected what is required", "require group <name>..."}},
		{"an import without its argument", "sso_gate {\n\t\tclient 1\n\t\theader_prefix X-SSO-\n\t}", "sso_gate {\nclient {args[0]}\n}", "client {args", []string{"{args[0]} has no value; add an argument to the import"}},
		{"a hash of Docker Compose", "user demo HASH {", "user demo $$2a$$04$$tNK7Vrf/o2nWI84RKhns8.o/g8e1YQp0JT3kozd3LHKEzqbSyTBmm {", "user demo", []string{"write every $ once"}},
		{"a hash in Base64", "user demo HASH {", "user demo JDJhJDE0JFVMb0U3TTc5MmxTdEZ4eWszeTZwNw== {", "user demo", []string{"is in Base64"}},
		{"a hash of SHA-512", "user demo HASH {", "user demo $6$abc$WJbkP6gT {", "user demo", []string{"of another kind", "hashed again"}},
		{"a hash in hexadecimal", "user demo HASH {", "user demo 5f4dcc3b5aa765d61d8327deb882cf99 {", "user demo", []string{"of another kind"}},
		{"half a hash", "user demo HASH {", "user demo $2a$04$tNK7Vrf {", "user demo", []string{"is not whole"}},
	} {
		t.Run(c.name, func(t *testing.T) { refusedOnItsLine(t, c.old, c.spoiled, c.line, c.want) })
	}
}
