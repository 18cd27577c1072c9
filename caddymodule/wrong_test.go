package caddymodule

import (
	"fmt"
	"strings"
	"testing"
)

// right is a configuration that the cases below spoil, one line each.
const right = `{
	storage file_system DIR
	sso {
		issuer https://login.example
		storage memory
		session {
			idle 24h
			lifetime 30d
		}
		codes {
			lifetime 60s
			capacity 100
		}
		signin local {
			attempts {
				per_account 10
			}
			user demo HASH {
				email demo@game.example
				group players
			}
		}
		client 1 {
			name Game
			public
			redirect_uri https://game.example/oauth2/callback
			fail_auth_url https://game.example/signed-out
			token_alg RS256
		}
		brand {
			name Studio
		}
	}
}
https://login.example {
	sso_portal
}
https://game.example {
	sso_gate {
		client 1
		header_prefix X-SSO-
	}
	respond ok
}
`

func TestTheRightConfigurationIsTaken(t *testing.T) {
	config, err := adapt(spoil(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(config); err != nil {
		t.Fatal(err)
	}
}

// spoil puts something else in the place of a part of right.
func spoil(t *testing.T, old, spoiled string) string {
	t.Helper()
	if old != "" && strings.Count(right, old) != 1 {
		t.Fatalf("%q is %d times in the right configuration", old, strings.Count(right, old))
	}
	return strings.NewReplacer("DIR", t.TempDir(), "HASH", demoHash).Replace(strings.Replace(right, old, spoiled, 1))
}

// Every case is refused by the adapter, on its line, with what is wrong and
// what would be right.
func TestAWrongCaddyfileIsRefusedOnItsLine(t *testing.T) {
	for _, c := range []struct {
		name         string
		old, spoiled string
		line         string // begins the line that the error names
		want         []string
	}{
		{"an issuer that is missing", "issuer https://login.example", "", "}", []string{"issuer is missing", "issuer https://login.example.com"}},
		{"an issuer without a value", "issuer https://login.example", "issuer", "issuer", []string{"issuer: expected a value"}},
		{"a second issuer", "issuer https://login.example", "issuer https://login.example\nissuer https://b.example", "issuer https://b", []string{"duplicate option: issuer"}},
		{"an issuer that is no origin", "issuer https://login.example", "issuer login.example", "issuer", []string{`"login.example" is not a web origin`, "https://login.example.com"}},
		{"an issuer over http that is not loopback", "issuer https://login.example", "issuer http://login.example", "issuer", []string{"http, which is for loopback only", "use https"}},
		{"an issuer with a path", "issuer https://login.example", "issuer https://login.example/", "issuer", []string{"more than scheme, host and port"}},
		{"an issuer with a query", "issuer https://login.example", "issuer https://login.example?a", "issuer", []string{"more than scheme, host and port"}},
		{"an issuer with user information", "issuer https://login.example", "issuer https://a@login.example", "issuer", []string{"more than scheme, host and port"}},
		{"an issuer in upper case", "issuer https://login.example", "issuer https://Login.example", "issuer", []string{"as browsers write origins; expected https://login.example"}},
		{"an issuer with the default port", "issuer https://login.example", "issuer https://login.example:443", "issuer", []string{"expected https://login.example"}},
		{"an issuer with another scheme", "issuer https://login.example", "issuer ftp://login.example", "issuer", []string{"is not a web origin"}},
		{"an unknown option of sso", "issuer https://login.example", "issuer https://login.example\nclients 1", "clients", []string{`unknown option "clients"`, "client, codes, issuer"}},
		{"an argument of sso", "sso {", "sso now {", "sso", []string{`unexpected "now"`}},
		{"sso twice", "\tstorage file_system DIR", "\tsso {\n\tissuer https://a.example\n\tsignin local\n}\n", "\tsso {\n\t\tissuer", []string{"duplicate option: sso"}},

		{"storage without a name", "storage memory", "storage", "storage", []string{"expected one of: [file memory redis]"}},
		{"an unknown storage", "storage memory", "storage postgres", "storage postgres", []string{`unknown "postgres"`, "[file memory redis]"}},
		{"storage twice", "storage memory", "storage memory\nstorage file", "storage file", []string{"duplicate option: storage"}},
		{"an unknown record_format", "storage memory", "storage memory\nrecord_format 3", "record_format 3", []string{"record_format is 3; expected 1 or 2"}},
		{"a record_format in words", "storage memory", "storage memory\nrecord_format cbor", "record_format cbor", []string{`"cbor" is not a positive number`}},
		{"a file with two paths", "storage memory", "storage file /a /b", "storage file", []string{`unexpected "/b"`}},
		{"an unknown option of memory", "storage memory", "storage memory {\nsize 1\n}", "size 1", []string{`unknown option "size"`, "capacity"}},
		{"redis without a URL", "storage memory", "storage redis", "storage redis", []string{"storage redis <url>", "redis://localhost:6379"}},
		{"redis without a storage_key", "storage memory", "storage redis redis://localhost", "storage redis", []string{"storage_key is missing", "openssl rand"}},
		{"redis with a short storage_key", "storage memory", "storage redis redis://localhost {\nstorage_key short\n}", "storage redis", []string{"shorter than 32"}},
		{"redis with a URL that is none", "storage memory", "storage redis localhost:6379", "storage redis", []string{"redis://user:password@host:port"}},
		{"redis with a port that is none", "storage memory", "storage redis redis://localhost:99999 {\nstorage_key 0123456789abcdef0123456789abcdef\n}", "storage redis", []string{`ports are 1 to 65535`}},
		{"redis with a database that is none", "storage memory", "storage redis redis://localhost/-1 {\nstorage_key 0123456789abcdef0123456789abcdef\n}", "storage redis", []string{`is no number such as 0 or 15`}},
		{"Sentinel without a master", "storage memory", "storage redis redis+sentinel://s1,s2,s3 {\nstorage_key 0123456789abcdef0123456789abcdef\n}", "storage redis", []string{`does not name the master`}},
		{"half a client certificate", "storage memory", "storage redis rediss://localhost {\nstorage_key 0123456789abcdef0123456789abcdef\ntls_client_auth a.pem\n}", "tls_client_auth", []string{`tls_client_auth <certificate> <key>`}},
		{"two client certificates", "storage memory", "storage redis rediss://localhost {\nstorage_key 0123456789abcdef0123456789abcdef\ntls_client_auth a b\ntls_client_auth c d\n}", "tls_client_auth c d", []string{`expected one line`}},
		{"revoke_wait without a time", "storage memory", "storage redis redis://localhost {\nstorage_key 0123456789abcdef0123456789abcdef\nrevoke_wait 1\n}", "revoke_wait", []string{`revoke_wait 1 500ms`}},
		{"revoke_wait for no replica", "storage memory", "storage redis redis://localhost {\nstorage_key 0123456789abcdef0123456789abcdef\nrevoke_wait 0 1s\n}", "revoke_wait", []string{`at least 1 replica`}},
		{"revoke_wait for ever", "storage memory", "storage redis redis://localhost {\nstorage_key 0123456789abcdef0123456789abcdef\nrevoke_wait 1 1h\n}", "revoke_wait", []string{`1ms to 10s`}},
		{"revoke_wait for many", "storage memory", "storage redis redis://localhost {\nstorage_key 0123456789abcdef0123456789abcdef\nrevoke_wait many 1s\n}", "revoke_wait", []string{`"many" is not a number of replicas`}},
		{"revoke_wait twice", "storage memory", "storage redis redis://localhost {\nstorage_key 0123456789abcdef0123456789abcdef\nrevoke_wait 1 1s\nrevoke_wait 1 2s\n}", "revoke_wait 1 2s", []string{`duplicate option: revoke_wait`}},

		{"an unknown option of session", "idle 24h", "timeout 24h", "timeout", []string{`unknown option "timeout"`, "cache, idle, lifetime, outage_grace, per_user, same_site"}},
		{"idle of nothing", "idle 24h", "idle 0", "idle", []string{`"0" is not a duration`}},
		{"a negative idle", "idle 24h", "idle -1h", "idle", []string{`"-1h" is not a duration`}},
		{"idle that is no time", "idle 24h", "idle soon", "idle", []string{`"soon" is not a duration`}},
		{"idle with two values", "idle 24h", "idle 1h 2h", "idle", []string{`idle: unexpected "2h"`}},
		{"idle twice", "idle 24h", "idle 24h\nidle 23h", "idle 23h", []string{"duplicate option: idle"}},
		{"idle under a minute", "idle 24h", "idle 59s", "}", []string{"idle is 59s", "at least 1m"}},
		{"idle longer than lifetime", "idle 24h", "idle 31d", "}", []string{"idle is 744h0m0s and lifetime 720h0m0s", "no longer than lifetime"}},
		{"an unknown same_site", "idle 24h", "same_site strict", "}", []string{`same_site "strict" is unknown; expected lax or none`}},
		{"no session at all for a user", "idle 24h", "per_user 0", "per_user", []string{`"0" is not a positive number`}},
		{"more sessions of a user than can be listed", "idle 24h", "per_user 10001", "}", []string{"expected 1 to 10000"}},
		{"a cache of nothing", "idle 24h", "cache 0", "cache", []string{`"0" is not a positive number`}},

		{"oidc without an ID", "signin local {", "signin oidc\nsignin local {", "signin oidc", []string{"signin oidc <id>", "signin oidc acme"}},
		{"oidc with an ID that no path has", "signin local {", "signin oidc a/b {\nissuer https://a.example\nclient_id x\n}\nsignin local {", "signin oidc a/b", []string{`"a/b" has other characters than letters, digits`}},
		{"oidc with the ID of another method", "signin local {", "signin oidc local {\nissuer https://a.example\nclient_id x\n}\nsignin local {", "signin oidc local", []string{"local is the ID of signin local"}},
		{"oidc without an issuer", "signin local {", "signin oidc acme {\nclient_id x\n}\nsignin local {", "signin oidc acme", []string{"signin oidc acme: issuer is missing", "https://login.acme.example"}},
		{"oidc with an issuer over http", "signin local {", "signin oidc acme {\nissuer http://a.example\n}\nsignin local {", "issuer http://a", []string{"http, which is for loopback only", "use https"}},
		{"oidc with an issuer that has a query", "signin local {", "signin oidc acme {\nissuer https://a.example?x\n}\nsignin local {", "issuer https://a", []string{"a query or a fragment"}},
		{"oidc with an issuer that is none", "signin local {", "signin oidc acme {\nissuer acme\n}\nsignin local {", "issuer acme", []string{`"acme" is no web address`}},
		{"oidc without a client_id", "signin local {", "signin oidc acme {\nissuer https://a.example\n}\nsignin local {", "signin oidc acme", []string{"client_id is missing"}},
		{"oidc with an icon that is none", "signin local {", "signin oidc acme {\nicon acme.svg\n}\nsignin local {", "icon acme.svg", []string{"https:// URL", "/logo.svg"}},
		{"oidc that is asked too often", "signin local {", "signin oidc acme {\nissuer https://a.example\nclient_id x\nrecheck 5s\n}\nsignin local {", "signin oidc acme", []string{"recheck 5s is too often", "the shortest is 1m0s"}},
		{"oidc that is asked for no time", "signin local {", "signin oidc acme {\nrecheck never\n}\nsignin local {", "recheck never", []string{"is not a duration"}},
		{"oidc with a response mode that nobody reads", "signin local {", "signin oidc acme {\nissuer https://acme.example\nclient_id x\nauthorize_param response_mode fragment\n}\nsignin local {", "authorize_param response_mode", []string{"the parameter response_mode is ours to send"}},
		{"oidc with a parameter that is ours", "signin local {", "signin oidc acme {\nauthorize_param state x\n}\nsignin local {", "authorize_param state", []string{"the parameter state is ours to send", "access_type"}},
		{"oidc that is to ask nobody", "signin local {", "signin oidc acme {\nauthorize_param prompt \"login none\"\n}\nsignin local {", "authorize_param prompt", []string{"prompt none", "consent"}},
		{"oidc with a parameter without a value", "signin local {", "signin oidc acme {\nauthorize_param prompt\n}\nsignin local {", "authorize_param prompt", []string{"expected a name and a value"}},
		{"oidc with a separator of groups that is none", "signin local {", "signin oidc acme {\nissuer https://a.example\nclient_id x\ngroup_separator ,\n}\nsignin local {", "signin oidc acme", []string{`group_separator "," is unknown`, "comma, semicolon, space or none"}},
		{"oidc that links by an address that it does not take", "signin local {", "signin oidc acme {\nissuer https://a.example\nclient_id x\nclaim email off\nlink_email local\n}\nsignin local {", "signin oidc acme", []string{"link_email", "claim email off", "remove one"}},
		{"oidc that links to itself", "signin local {", "signin oidc acme {\nissuer https://a.example\nclient_id x\nlink_email acme\n}\nsignin local {", "signin oidc acme", []string{"link_email is this sign-in method itself", "such as local"}},
		{"oidc with scopes in one", "signin local {", "signin oidc acme {\nissuer https://a.example\nclient_id x\nscope \"email groups\"\n}\nsignin local {", "signin oidc acme", []string{`scope "email groups"`, "as a word of its own"}},
		{"oidc with an unknown claim", "signin local {", "signin oidc acme {\nclaim phone phone_number\n}\nsignin local {", "claim phone", []string{`claim "phone" is unknown`, "avatar, email, email_verified, groups, username"}},
		{"oidc with half a claim", "signin local {", "signin oidc acme {\nclaim groups\n}\nsignin local {", "claim groups", []string{"claim groups roles"}},
		{"oidc with a claim twice", "signin local {", "signin oidc acme {\nclaim groups a\nclaim groups b\n}\nsignin local {", "claim groups b", []string{"duplicate option: claim groups"}},
		{"an unknown option of oidc", "signin local {", "signin oidc acme {\nsecret x\n}\nsignin local {", "secret x", []string{`unknown option "secret"`, "client_id, client_secret"}},

		{"backend without an ID", "signin local {", "signin backend\nsignin local {", "signin backend", []string{"signin backend <id>", "signin backend accounts"}},
		{"backend with an ID that no path has", "signin local {", "signin backend a/b {\nurl https://a.example\nsecret 0123456789abcdef\n}\nsignin local {", "signin backend a/b", []string{`"a/b" has other characters than letters, digits`}},
		{"backend with the ID of another method", "signin local {", "signin backend local {\nurl https://a.example\nsecret 0123456789abcdef\n}\nsignin local {", "signin backend local", []string{"local is the ID of signin local"}},
		{"backend without a url", "signin local {", "signin backend accounts {\nsecret 0123456789abcdef\n}\nsignin local {", "signin backend", []string{"signin backend accounts: url is missing"}},
		{"backend over http", "signin local {", "signin backend accounts {\nurl http://a.example\n}\nsignin local {", "url http", []string{"expected https, or http on loopback"}},
		{"backend with user information", "signin local {", "signin backend accounts {\nurl https://a@b.example\n}\nsignin local {", "url https", []string{"expected the URL of your backend"}},
		{"backend without a secret", "signin local {", "signin backend accounts {\nurl https://a.example\n}\nsignin local {", "signin backend", []string{"secret is missing", "openssl rand"}},
		{"backend with a short secret", "signin local {", "signin backend accounts {\nurl https://a.example\nsecret short\n}\nsignin local {", "signin backend", []string{"shorter than 16"}},
		{"backend that may take too long", "signin local {", "signin backend accounts {\nurl https://a.example\nsecret 0123456789abcdef\ntimeout 11s\n}\nsignin local {", "signin backend", []string{"timeout is 11s", "at most 10s"}},
		{"an unknown option of backend", "signin local {", "signin backend accounts {\nicon /a.svg\n}\nsignin local {", "icon", []string{`unknown option "icon"`, "name, secret, subject, timeout, url"}},
		{"trusted without an ID", "signin local {", "signin trusted\nsignin local {", "signin trusted", []string{"signin trusted <id>"}},
		{"trusted with an ID that no path has", "signin local {", "signin trusted a/b {\nurl https://a.example\nsecret 0123456789abcdef\n}\nsignin local {", "signin trusted a/b", []string{`"a/b" has other characters than letters, digits`}},
		{"trusted without a url", "signin local {", "signin trusted game {\nsecret 0123456789abcdef\n}\nsignin local {", "signin trusted", []string{"signin trusted game: url is missing"}},
		{"trusted over http", "signin local {", "signin trusted game {\nurl http://a.example\n}\nsignin local {", "url http", []string{"expected https, or http on loopback"}},
		{"trusted with a url that is none", "signin local {", "signin trusted game {\nurl /sign-in\n}\nsignin local {", "url /sign-in", []string{"expected the URL of your sign-in page"}},
		{"trusted without a secret", "signin local {", "signin trusted game {\nurl https://a.example\n}\nsignin local {", "signin trusted", []string{"secret is missing", "openssl rand"}},
		{"trusted with a short secret", "signin local {", "signin trusted game {\nurl https://a.example\nsecret short\n}\nsignin local {", "signin trusted", []string{"shorter than 16"}},
		{"an unknown option of trusted", "signin local {", "signin trusted game {\ntimeout 1s\n}\nsignin local {", "timeout", []string{`unknown option "timeout"`, "icon, name, secret, subject, url"}},
		{"a subject that is not own", "signin local {", "signin backend accounts {\nsubject 17\n}\nsignin local {", "subject 17", []string{`subject "17" is unknown; expected own`}},
		{"subject own of local users", "attempts {", "subject own\nattempts {", "subject own", []string{`unknown option "subject"`}},
		{"two methods with subject own", "signin local {", "signin backend a {\nurl https://a.example\nsecret 0123456789abcdef\nsubject own\n}\nsignin oidc b {\nissuer https://b.example\nclient_id sso\nsubject own\n}\nsignin local {", "signin oidc b", []string{"signin oidc b: signin backend a has subject own already", "{user.id}"}},
		{"users without a path", "attempts {", "users\nattempts {", "users", []string{"users: expected a value"}},
		{"users twice", "attempts {", "users a\nusers b\nattempts {", "users b", []string{"duplicate option: users"}},

		{"codes that live too long", "lifetime 60s", "lifetime 11m", "}", []string{"lifetime is 11m0s", "1s to 10m"}},
		{"codes that live too short", "lifetime 60s", "lifetime 10ms", "}", []string{"lifetime is 10ms", "1s to 10m"}},
		{"room for no code", "capacity 100", "capacity 0", "capacity", []string{`"0" is not a positive number`}},
		{"room for minus one code", "capacity 100", "per_session -1", "per_session", []string{`"-1" is not a positive number`}},
		{"capacity twice", "capacity 100", "capacity 100\ncapacity 200", "capacity 200", []string{"duplicate option: capacity"}},
		{"an unknown option of codes", "capacity 100", "size 100", "size", []string{`unknown option "size"`}},

		{"signin without a name", "signin local {", "signin {", "signin", []string{"expected one of: [backend local oidc trusted]"}},
		{"an unknown sign-in method", "signin local {", "signin ldap {", "signin", []string{`unknown "ldap"`, "not an OpenID Connect provider", "signin trusted"}},
		{"an unknown option of local", "attempts {", "attempt {", "attempt", []string{`unknown option "attempt"`, "attempts, user, users"}},
		{"an unknown option of attempts", "per_account 10", "per_user 10", "per_user", []string{`unknown option "per_user"`, "every, per_account, per_address"}},
		{"attempts in no time", "per_account 10", "every 0s", "every", []string{"is not a duration"}},
		{"a user without a hash", "user demo HASH {", "user demo {", "user demo", []string{"user <name> <hash>", "caddy hash-password"}},
		{"a password instead of a hash", "user demo HASH {", "user demo hunter2 {", "user demo", []string{"bcrypt or argon2id hash", "caddy hash-password"}},
		{"a hash that costs minutes", "user demo HASH {", "user demo $2a$31$jXI9bDPWoUCuDTnJh6tuLuVsMQUdUB2JRiKYW5EnmzsMDEwTpp5lK {", "user demo", []string{"use at most 18"}},
		{"an e-mail with two @", "email demo@game.example", "email demo@a@game.example", "email", []string{`"demo@a@game.example" is no address such as`}},
		{"an unknown option of a user", "group players", "groups players", "groups", []string{`unknown option "groups"`, "email, group, registered, subject"}},
		{"a group without a name", "group players", "group", "group", []string{"group: expected at least one value"}},
		{"groups with commas between them", "group players", "group players, staff", "user demo", []string{`user "demo": group "players," has a comma in it`, "write each group by itself"}},
		{"groups of one number", "group players", "group players team-36822\ngroup testers-18759", "group testers", []string{`group "team-36822" (user "demo")`, `group "testers-18759" (user "demo")`, "rename one"}},
		{"groups of two users with one number", "signin local {", "signin local {\nuser ann HASH {\ngroup ptattrm\n}", "group players", []string{`group "ptattrm" (user "ann")`, `group "players" (user "demo")`, "the same number, 688827913", "rename one"}},
		{"a group with the number of a user's", "header_prefix X-SSO-", "require group staff\nrequire group crew ptattrm", "require group crew", []string{`group "players" (user "demo")`, `group "ptattrm" (require group of the gate of client 1)`, "rename one"}},
		{"a date that is none", "group players", "registered 27.4.2019", "registered", []string{`registered "27.4.2019"`, "such as 2019-04-27"}},
		{"two dates", "group players", "registered 2019-04-27 2019-04-28", "registered", []string{`unexpected "2019-04-28"`}},
		{"a subject that is not a UUID", "group players", "subject 17", "user demo", []string{`"17" is not a UUID`}},
		{"the same user twice, in another case", "signin local {", "signin local {\nuser DEMO HASH", "user demo", []string{"defined twice", "without case"}},
		{"the same e-mail twice", "signin local {", "signin local {\nuser other HASH {\nemail DEMO@game.example\n}", "user demo", []string{"another user's"}},
		{"a name that is another's e-mail", "signin local {", "signin local {\nuser demo@game.example HASH", "user demo HASH", []string{"is the name of user"}},

		{"a client without an ID", "client 1 {\n\t\t\tname", "client {\n\t\t\tname", "client {", []string{"positive integer", "client 1"}},
		{"client 0", "client 1 {\n\t\t\tname", "client 0 {\n\t\t\tname", "client 0", []string{`"0" is not a positive integer`}},
		{"client abc", "client 1 {\n\t\t\tname", "client abc {\n\t\t\tname", "client abc", []string{`"abc" is not a positive integer`}},
		{"client 01", "client 1 {\n\t\t\tname", "client 01 {\n\t\t\tname", "client 01", []string{`"01" is not a positive integer`}},
		{"client -1", "client 1 {\n\t\t\tname", "client -1 {\n\t\t\tname", "client -1", []string{`"-1" is not a positive integer`}},
		{"a client twice", "brand {", "client 1 {\npublic\nredirect_uri https://b.example/cb\n}\nbrand {", "client 1 {\npublic", []string{"duplicate client 1"}},
		{"an unknown option of a client", "name Game", "title Game", "title", []string{`unknown option "title"`, "redirect_uri"}},
		{"a client both public and with a secret", "name Game", "secret s3cr3t", "client 1 {", []string{"both public and has a secret", "remove one"}},
		{"a client with a secret that can be guessed", "\t\t\tpublic\n", "secret s3cr3t\n", "client 1 {", []string{"the secret is shorter than 16 characters", "openssl"}},
		{"a client neither public nor with a secret", "\t\t\tpublic\n", "", "client 1 {", []string{"neither a secret nor the word public"}},
		{"a client that is public with an argument", "\t\t\tpublic\n", "public yes\n", "public", []string{`public: unexpected "yes"`}},
		{"a client without a redirect URI", "\t\t\tredirect_uri https://game.example/oauth2/callback\n", "", "client 1 {", []string{"no redirect_uri"}},
		{"redirect_uri without a value", "redirect_uri https://game.example/oauth2/callback", "redirect_uri", "redirect_uri", []string{"expected at least one value"}},
		{"a relative redirect URI", "redirect_uri https://game.example/oauth2/callback", "redirect_uri /oauth2/callback", "redirect_uri", []string{"is not absolute; begin it with https://"}},
		{"a redirect URI with a fragment", "redirect_uri https://game.example/oauth2/callback", `redirect_uri "https://game.example/#/callback"`, "redirect_uri", []string{"has a fragment", "leave out the part from #"}},
		{"a redirect URI with user information", "redirect_uri https://game.example/oauth2/callback", "redirect_uri https://game.example@evil.example/", "redirect_uri", []string{"user information before the host"}},
		{"a redirect URI over http", "redirect_uri https://game.example/oauth2/callback", "redirect_uri http://game.example/", "redirect_uri", []string{"http is for loopback only", "use https"}},
		{"a redirect URI that is a script", "redirect_uri https://game.example/oauth2/callback", "redirect_uri javascript:alert(1)", "redirect_uri", []string{`the scheme "javascript" cannot take a code`}},
		{"a redirect URI with a wildcard", "redirect_uri https://game.example/oauth2/callback", "redirect_uri https://*.game.example/", "redirect_uri", []string{"wildcard"}},
		{"the second of two redirect URIs", "redirect_uri https://game.example/oauth2/callback", "redirect_uri https://game.example/oauth2/callback /b", "redirect_uri", []string{`"/b"`}},
		{"a redirect URI twice", "redirect_uri https://game.example/oauth2/callback", "redirect_uri https://game.example/cb\nredirect_uri https://game.example/cb", "client 1 {", []string{"duplicate redirect_uri"}},
		{"a fail_auth_url over http", "fail_auth_url https://game.example/signed-out", "fail_auth_url http://game.example/", "fail_auth_url", []string{"expected https, or http on loopback"}},
		{"an unknown token_alg", "token_alg RS256", "token_alg HS512", "token_alg", []string{`"HS512" is unknown`, "RS256, ES256, EdDSA or HS256"}},
		{"token_alg twice", "token_alg RS256", "token_alg RS256\ntoken_alg ES256", "token_alg ES256", []string{"duplicate option: token_alg"}},
		{"a project that is not a UUID", "token_alg RS256", "project game", "project", []string{`"game" is not a UUID`, "0f8fad5b-"}},
		{"a name with control characters", "name Game", "name \"Ga\u0007me\"", "client 1 {", []string{"control characters"}},

		{"an accent that is no colour", "name Studio", "accent red", "accent", []string{`"red"`, "#"}},
		{"an accent without quotes", "name Studio", "accent #7a3ff2", "accent", []string{"in quotes", "# begins a comment"}},
		{"a logo that is no address", "name Studio", "logo javascript:alert(1)", "logo", []string{"https:// URL", "/logo.svg"}},
		{"an unknown option of brand", "name Studio", "colour red", "colour", []string{`unknown option "colour"`, "accent, logo, name"}},

		{"a portal with an argument", "sso_portal", "sso_portal /login", "sso_portal", []string{"sso_portal takes no argument", "no matcher"}},
		{"a portal with an option", "sso_portal", "sso_portal {\nclient 1\n}", "client 1\n}", []string{`unknown option "client"; this block takes no options`}},

		{"a gate without a client", "\t\tclient 1\n", "", "sso_gate", []string{"client is missing", "client 1"}},
		{"a gate with a client that is not there", "\t\tclient 1\n", "\t\tclient 2\n", "client 2", []string{`client "2" is unknown`, "add it to the sso option"}},
		{"a gate with two clients", "\t\tclient 1\n", "\t\tclient 1\nclient 1\n", "client 1\n\t\theader", []string{"duplicate option: client"}},
		{"an argument of a gate", "sso_gate {", "sso_gate 1 {", "sso_gate 1", []string{`unexpected "1"`}},
		{"an unknown matcher of a gate", "sso_gate {", "sso_gate @nobody {", "sso_gate @nobody", []string{"unrecognized matcher name"}},
		{"an unknown option of a gate", "header_prefix X-SSO-", "headers_prefix X-SSO-", "headers_prefix", []string{`unknown option "headers_prefix"`, "allow_raw_path, allow_upgrade, authorization, bearer, cache_private, client"}},
		{"a prefix without a hyphen", "header_prefix X-SSO-", "header_prefix X-SSO", "header_prefix", []string{"with a hyphen last, such as X-SSO-"}},
		{"a prefix that owns other headers", "header_prefix X-SSO-", "header_prefix Content-", "header_prefix", []string{"other headers begin with it"}},
		{"a fail_auth_url that the client has not registered", "header_prefix X-SSO-", "fail_auth_url https://game.example/else", "fail_auth_url https://game.example/else", []string{"is not registered for client 1", "add it to the client"}},
		{"an upgrade to HTTP/2", "header_prefix X-SSO-", "allow_upgrade example H2C", "allow_upgrade", []string{"allow_upgrade H2C", "would pass the gate unseen", "leave it out"}},
		{"an upgrade to what is no protocol", "header_prefix X-SSO-", "allow_upgrade \"a, b\"", "allow_upgrade", []string{`allow_upgrade "a, b"`, "such as example or example/1.0"}},
		{"an upgrade to nothing", "header_prefix X-SSO-", "allow_upgrade", "allow_upgrade", []string{"expected at least one value"}},
		{"cache_private with another word", "header_prefix X-SSO-", "cache_private no", "cache_private", []string{`cache_private "no" is unknown; expected on or off`}},
		{"require without the word group", "header_prefix X-SSO-", "require players", "require", []string{"require group <name>..."}},
		{"require without a group", "header_prefix X-SSO-", "require group", "require", []string{"expected at least one value"}},
		{"a popup with an argument", "header_prefix X-SSO-", "popup small", "popup", []string{`popup: unexpected "small"`, "takes no value: leave it out"}},
	} {
		t.Run(c.name, func(t *testing.T) { refusedOnItsLine(t, c.old, c.spoiled, c.line, c.want) })
	}
}

// refusedOnItsLine says that the right configuration with another text in the place
// of one is refused by the adapter, on the line that begins so, in such words.
func refusedOnItsLine(t *testing.T, old, spoiled, line string, want []string) {
	t.Helper()
	file := spoil(t, old, spoiled)
	_, err := adapt(file)
	if err == nil {
		t.Fatal("the adapter took it")
	}
	for _, want := range want {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if !onLineThatBegins(file, line, err) {
		t.Errorf("the error is not on the line %q:\n%v", line, err)
	}
}

// onLineThatBegins reports whether an error names a line that begins with a text,
// indentation aside.
func onLineThatBegins(file, text string, err error) bool {
	text = strings.NewReplacer("HASH", demoHash, "\t", "").Replace(text)
	lines := strings.Split(strings.ReplaceAll(file, "\t", ""), "\n")
	for i := range lines {
		if strings.HasPrefix(strings.Join(lines[i:], "\n"), text) && strings.Contains(err.Error(), fmt.Sprintf("Caddyfile:%d", i+1)) {
			rest := err.Error()[strings.Index(err.Error(), fmt.Sprintf("Caddyfile:%d", i+1))+len(fmt.Sprintf("Caddyfile:%d", i+1)):]
			if rest == "" || rest[0] < '0' || rest[0] > '9' {
				return true
			}
		}
	}
	return false
}

func TestHandlersWithoutTheOptionAreRefused(t *testing.T) {
	for _, handler := range []string{"sso_portal", "sso_gate {\nclient 1\n}"} {
		_, err := adapt("https://game.example {\n" + handler + "\n}\n")
		if err == nil || !strings.Contains(err.Error(), "the global option sso is missing") || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s: %v", handler, err)
		}
	}
}

func TestNoWayToSignInIsRefused(t *testing.T) {
	_, err := adapt("{\nsso {\nissuer https://login.example\n}\n}\n")
	if err == nil || !strings.Contains(err.Error(), "no sign-in method is configured; add for example: signin local") {
		t.Error(err)
	}
}

// Whatever is wrong with the address of a store, its password stays out of the
// message.
func TestNoErrorHoldsTheStoresPassword(t *testing.T) {
	for _, url := range []string{
		"redis://u:hunter2@localhost:port", "redis://u:%zzhunter2@localhost", "http://u:hunter2@localhost",
		"redis://u:1/hunter2@localhost", "hunter2@localhost",
	} {
		caddyfile := spoil(t, "storage memory", "storage redis \""+url+"\" {\nstorage_key 0123456789abcdef0123456789abcdef\n}")
		_, err := adapt(caddyfile)
		if err == nil {
			t.Errorf("%s was taken", url)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
