package caddymodule

import "testing"

func TestWrongHeadersAreRefusedOnTheirLine(t *testing.T) {
	for name, c := range map[string]struct {
		lines, line string
		want        []string
	}{
		"nothing":                       {"headers", "headers", []string{"expected a preset, authelia or oauth2_proxy, or a block"}},
		"an unknown preset":             {"headers nginx", "headers nginx", []string{"this preset is unknown"}},
		"two presets":                   {"headers authelia\nheaders oauth2_proxy", "headers oauth2_proxy", []string{"duplicate option: headers"}},
		"a header of the connection":    {"headers {\nConnection {user.name}\n}", "Connection", []string{"needs this header"}},
		"a header of the gate":          {"headers {\nX-SSO-Name {user.name}\n}", "X-SSO-Name", []string{"begins with the header_prefix"}},
		"a name that is none":           {"headers {\nX_User {user.name}\n}", "X_User", []string{"letters, digits and hyphens"}},
		"no value":                      {"headers {\nRemote-User\n}", "Remote-User", []string{"expected one placeholder"}},
		"another placeholder":           {"headers {\nRemote-User {user.id}\n}", "Remote-User", []string{"{user.name}, {user.subject}"}},
		"one header twice":              {"headers {\nRemote-User {user.name}\nremote-user {user.email}\n}", "remote-user", []string{"duplicate header"}},
		"another word of authorization": {"authorization drop", "authorization", []string{"expected pass or strip"}},
	} {
		t.Run(name, func(t *testing.T) { refusedOnItsLine(t, "header_prefix X-SSO-", c.lines, c.line, c.want) })
	}
}

// The prefix is known only when the block is read.
func TestAHeaderBelowItsOwnPrefixIsRefused(t *testing.T) {
	config, err := adapt(spoil(t, "header_prefix X-SSO-", "headers {\nX-Game-Name {user.name}\n}\nheader_prefix X-Game-"))
	if err == nil {
		err = validate(config)
	}
	if err == nil {
		t.Error("taken")
	}
}
