package caddymodule

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Places in the JSON of the right configuration.
const (
	inApp    = "apps sso"
	inLocal  = "apps sso signin 0"
	inUser   = "apps sso signin 0 users 0"
	inClient = "apps sso clients 0"
	inGate   = "sso_gate"
	inPortal = "sso_portal"
)

// handlerOf finds the handler of a kind anywhere in a configuration.
func handlerOf(v any, kind string) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		if v["handler"] == kind {
			return v
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if found := handlerOf(v[key], kind); found != nil {
				return found
			}
		}
	case []any:
		for _, e := range v {
			if found := handlerOf(e, kind); found != nil {
				return found
			}
		}
	}
	return nil
}

// place follows a path of keys and indexes.
func place(t *testing.T, config map[string]any, path string) map[string]any {
	t.Helper()
	if path == inGate || path == inPortal {
		return handlerOf(config, path)
	}
	var at any = config
	for key := range strings.FieldsSeq(path) {
		if i, err := strconv.Atoi(key); err == nil {
			at = at.([]any)[i]
		} else {
			at = at.(map[string]any)[key]
		}
	}
	return at.(map[string]any)
}

// What the adapter did not see is refused all the same when it is provisioned,
// which is all that `caddy validate` does with JSON.
func TestAWrongJSONConfigurationIsRefused(t *testing.T) {
	type list = []any
	game := map[string]any{"id": "1", "public": true, "redirect_uris": list{"https://game.example/cb"}}
	demo := map[string]any{"name": "demo", "hash": demoHash}
	right, err := adapt(spoil(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, in, field string
		value           any // nil: remove the field
		want            []string
	}{
		{"an unknown field of the app", inApp, "isuer", "x", []string{"unknown field", "isuer"}},
		{"an unknown field of session", inApp + " session", "timeout", "1h", []string{"unknown field", "timeout"}},
		{"an unknown field of codes", inApp + " codes", "size", 1, []string{"unknown field", "size"}},
		{"an unknown field of brand", inApp + " brand", "colour", "red", []string{"unknown field", "colour"}},
		{"a link to users of a method that does not exist", inApp, "signin", list{
			map[string]any{"method": "oidc", "id": "acme", "issuer": "https://a.example", "client_id": "x", "link_email": "ldap"},
			map[string]any{"method": "local", "users": list{demo}},
		}, []string{"signin acme: link_email ldap", "no such sign-in method", "expected: local"}},
		{"an unknown field of local", inLocal, "ldap", true, []string{"sso.signin.local", "unknown field", "ldap"}},
		{"an unknown field of a user", inUser, "password", "demo", []string{"unknown field", "password"}},
		{"an unknown field of a client", inClient, "redirect_uri", list{"https://game.example/"}, []string{"unknown field", "redirect_uri"}},
		{"an unknown field of storage", inApp + " storage", "size", 1, []string{"sso.storage.memory", "unknown field", "size"}},
		{"an unknown field of a gate", inGate, "clients", list{"1"}, []string{"unknown field", "clients"}},
		{"an unknown field of the portal", inPortal, "client", "1", []string{"unknown field", "client"}},

		{"no issuer", inApp, "issuer", nil, []string{"sso", "issuer is missing", "https://login.example.com"}},
		{"an issuer with a path", inApp, "issuer", "https://login.example/x", []string{"more than scheme, host and port"}},
		{"an http issuer", inApp, "issuer", "http://login.example", []string{"loopback only"}},
		{"an unknown storage", inApp, "storage", map[string]any{"engine": "postgres"}, []string{"storage", "unknown module", "sso.storage.postgres"}},
		{"redis without a URL", inApp, "storage", map[string]any{"engine": "redis", "storage_key": strings.Repeat("k", 32)}, []string{"sso.storage.redis", "url is missing", "redis://localhost:6379"}},
		{"redis without a storage_key", inApp, "storage", map[string]any{"engine": "redis", "url": "redis://localhost"}, []string{"sso.storage.redis", "storage_key is missing"}},
		{"redis with a bad URL", inApp, "storage", map[string]any{"engine": "redis", "url": "redis://h:x", "storage_key": strings.Repeat("k", 32)}, []string{"sso.storage.redis", "cannot be parsed"}},
		{"redis with an unknown placeholder", inApp, "storage", map[string]any{"engine": "redis", "url": "{env.THERE_IS_NO_SUCH_VARIABLE}", "storage_key": "x"}, []string{"url", "env.THERE_IS_NO_SUCH_VARIABLE"}},
		{"no sign-in method", inApp, "signin", nil, []string{"no sign-in method is configured"}},
		{"an unknown sign-in method", inApp, "signin", list{map[string]any{"method": "ldap"}}, []string{"signin", "unknown module", "sso.signin.ldap"}},
		{"a sign-in method twice", inApp, "signin", list{map[string]any{"method": "local"}, map[string]any{"method": "local"}}, []string{"duplicate signin local"}},

		{"an unknown field of oidc", inApp, "signin", list{map[string]any{"method": "oidc", "secret": "x"}}, []string{"sso.signin.oidc", "unknown field", "secret"}},
		{"oidc without an ID", inApp, "signin", list{map[string]any{"method": "oidc", "issuer": "https://a.example", "client_id": "x"}}, []string{"signin: oidc", "has other characters than letters, digits"}},
		{"oidc without an issuer", inApp, "signin", list{map[string]any{"method": "oidc", "id": "acme", "client_id": "x"}}, []string{"signin: oidc acme", "issuer is missing"}},
		{"oidc with an empty scope", inApp, "signin", list{map[string]any{"method": "oidc", "id": "acme", "issuer": "https://a.example", "client_id": "x", "scopes": list{""}}}, []string{"signin: oidc acme", "is empty"}},
		{"oidc with an empty claim", inApp, "signin", list{map[string]any{"method": "oidc", "id": "acme", "issuer": "https://a.example", "client_id": "x", "claims": map[string]any{"groups": ""}}}, []string{"signin: oidc acme", "claim groups"}},
		{"oidc with a secret that is not set", inApp, "signin", list{map[string]any{"method": "oidc", "id": "acme", "client_secret": "{env.THERE_IS_NO_SUCH_VARIABLE}"}}, []string{"signin oidc acme: client_secret", "env.THERE_IS_NO_SUCH_VARIABLE"}},
		{"a backend without a url", inApp, "signin", list{map[string]any{"method": "backend", "id": "accounts", "secret": "0123456789abcdef"}}, []string{"signin: backend accounts", "url is missing"}},
		{"a backend with a secret that is not set", inApp, "signin", list{map[string]any{"method": "backend", "id": "accounts", "secret": "{env.THERE_IS_NO_SUCH_VARIABLE}"}}, []string{"signin backend accounts: secret", "env.THERE_IS_NO_SUCH_VARIABLE"}},
		{"a backend that waits less than nothing", inApp, "signin", list{map[string]any{"method": "backend", "id": "accounts", "url": "https://a.example", "secret": "0123456789abcdef", "timeout": -1}}, []string{"signin: backend accounts", "timeout"}},
		{"a trusted page with a short secret", inApp, "signin", list{map[string]any{"method": "trusted", "id": "game", "url": "https://a.example", "secret": "short"}}, []string{"signin: trusted game", "shorter than 16"}},
		{"a trusted page with a secret that is not set", inApp, "signin", list{map[string]any{"method": "trusted", "id": "game", "secret": "{env.THERE_IS_NO_SUCH_VARIABLE}"}}, []string{"signin trusted game: secret", "env.THERE_IS_NO_SUCH_VARIABLE"}},
		{"a provider twice", inApp, "signin", list{
			map[string]any{"method": "oidc", "id": "acme", "issuer": "https://a.example", "client_id": "x"}, map[string]any{"method": "oidc", "id": "acme", "issuer": "https://b.example", "client_id": "x"},
		}, []string{"duplicate signin acme"}},

		{"an unknown record_format", inApp, "record_format", 3, []string{"record_format is 3; expected 1 or 2"}},
		{"a negative idle", inApp + " session", "idle", -1, []string{"session: idle is"}},
		{"a lifetime shorter than idle", inApp + " session", "lifetime", "1h", []string{"no longer than lifetime"}},
		{"a negative grace", inApp + " session", "outage_grace", -1, []string{"cannot be negative"}},
		{"a negative bound on a user's sessions", inApp + " session", "per_user", -1, []string{"per_user is -1; expected 1 to 10000"}},
		{"a negative cache", inApp + " session", "cache", -1, []string{"cannot be negative"}},
		{"an unknown same_site", inApp + " session", "same_site", "strict", []string{`same_site "strict" is unknown; expected lax or none`}},
		{"codes of an hour", inApp + " codes", "lifetime", "1h", []string{"codes: lifetime is 1h0m0s; expected 1s to 10m"}},
		{"negative codes", inApp + " codes", "capacity", -1, []string{"codes: capacity and per_session have to be positive"}},
		{"negative attempts", inLocal, "attempts", map[string]any{"per_account": -1}, []string{"attempts: expected positive numbers"}},

		{"a user without a hash", inUser, "hash", nil, []string{`user "demo"`, "bcrypt or argon2id hash"}},
		{"a user without a name", inUser, "name", nil, []string{`user ""`, "the name cannot be used"}},
		{"an e-mail with two @", inUser, "email", "a@b@c.example", []string{`user "demo"`, "is no address"}},
		{"a subject that is not a UUID", inUser, "subject", "1", []string{`user "demo"`, "not a UUID"}},
		{"an empty group", inUser, "groups", list{""}, []string{`user "demo"`, "empty"}},
		{"groups of one number", inUser, "groups", list{"players", likePlayers}, []string{`group "players" (user "demo")`, `group "ptattrm" (user "demo")`, "rename one"}},
		{"a gate that requires a group of a user's number", inGate, "require", list{likePlayers}, []string{`group "players" (user "demo")`, "require group of the gate of client 1", "rename one"}},
		{"a date that is none", inUser, "registered", "soon", []string{`user "demo": registered "soon"`, "such as 2019-04-27"}},
		{"a group with a comma", inUser, "groups", list{"players", "staff,admins"}, []string{`user "demo": group "staff,admins" has a comma in it`, "write each group by itself"}},

		{"a client with ID 0", inClient, "id", "0", []string{"client 0", "positive integer"}},
		{"a client without an ID", inClient, "id", nil, []string{"positive integer"}},
		{"a client with a secret that is public", inClient, "secret", "s3cr3t", []string{"client 1", "both public and has a secret"}},
		{"a client neither public nor with a secret", inClient, "public", false, []string{"client 1", "neither a secret nor the word public"}},
		{"a secret that is not set", inClient, "secret", "{env.THERE_IS_NO_SUCH_VARIABLE}", []string{"client 1: secret", "env.THERE_IS_NO_SUCH_VARIABLE"}},
		{"a client without redirect URIs", inClient, "redirect_uris", list{}, []string{"client 1", "no redirect_uri"}},
		{"a redirect URI with a fragment", inClient, "redirect_uris", list{"https://game.example/#a"}, []string{"client 1", "has a fragment"}},
		{"a redirect URI with user information", inClient, "redirect_uris", list{"https://a:b@game.example/"}, []string{"client 1", "user information"}},
		{"a fail_auth_url that is relative", inClient, "fail_auth_urls", list{"/signed-out"}, []string{"client 1", "not absolute"}},
		{"an unknown token_alg", inClient, "token_alg", "none", []string{"client 1", "RS256, ES256, EdDSA or HS256"}},
		{"an empty audience", inClient, "audiences", list{""}, []string{"client 1", "empty"}},
		{"a client twice", inApp, "clients", list{game, game}, []string{"client 1", "defined twice"}},
		{"a user twice", inLocal, "users", list{demo, demo}, []string{`user "demo"`, "defined twice"}},
		{"a client that is null", inApp, "clients", list{game, nil}, []string{"clients: entry 1 is null"}},
		{"a user that is null", inLocal, "users", list{nil, demo}, []string{"users: entry 0 is null"}},
		{"a sign-in method that is null", inApp, "signin", list{nil}, []string{"signin"}},
		{"a storage that is null", inApp, "storage", json.RawMessage("null"), []string{"storage"}},
		{"an accent that is none", inApp + " brand", "accent", "blue", []string{"brand", `"blue"`}},

		{"a gate without a client", inGate, "client", nil, []string{"http.handlers.sso_gate", "client is missing"}},
		{"a gate with a client that is not there", inGate, "client", "2", []string{"http.handlers.sso_gate", `client "2" is unknown`}},
		{"a gate with a fail_auth_url that is not registered", inGate, "fail_auth_url", "https://b.example/", []string{"http.handlers.sso_gate", "is not registered for client 1"}},
		{"a gate with a bad prefix", inGate, "header_prefix", "X", []string{"http.handlers.sso_gate", "header_prefix"}},
		{"a gate with an upgrade to HTTP/2", inGate, "allow_upgrade", list{"h2C"}, []string{"http.handlers.sso_gate", "allow_upgrade h2C", "leave it out"}},
		{"a gate with another word for cache_private", inGate, "cache_private", "no", []string{"http.handlers.sso_gate", `cache_private "no"`}},
		{"a gate with an unknown matcher", inGate, "match", list{map[string]any{"moon": list{}}}, []string{"http.handlers.sso_gate", "http.matchers.moon"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := object(t, right)
			in := place(t, config, c.in)
			if c.value == nil {
				delete(in, c.field)
			} else {
				in[c.field] = c.value
			}
			raw, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			err = validate(raw)
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

// A duration in JSON may be a text, as in the Caddyfile, or nanoseconds.
func TestJSONTakesWhatTheCaddyfileTakes(t *testing.T) {
	config := `{"storage": {"module": "file_system", "root": "` + t.TempDir() + `"}, "apps": {"sso": {
		"issuer": "http://localhost:8080",
		"storage": {"engine": "file", "path": "` + t.TempDir() + `/sso.db"},
		"session": {"idle": "2h", "lifetime": 86400000000000},
		"signin": [{"method": "local", "users": [{"name": "demo", "hash": "` + demoHash + `"}]}],
		"clients": [{"id": "1", "public": true, "redirect_uris": ["http://localhost:8081/cb"]}]
	}}}`
	if err := validate([]byte(config)); err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Apps struct {
			SSO App `json:"sso"`
		} `json:"apps"`
	}
	if err := json.Unmarshal([]byte(config), &parsed); err != nil {
		t.Fatal(err)
	}
	if got := parsed.Apps.SSO.Session.Lifetime; got != caddy.Duration(86400e9) {
		t.Errorf("the lifetime is %v", got)
	}
}
