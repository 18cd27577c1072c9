package caddymodule

import (
	"strings"
	"testing"
)

// ruled is a configuration with these lines in its gate, and these before the client.
func ruled(t *testing.T, lines, methods string) string {
	t.Helper()
	config := strings.Replace(right, "header_prefix X-SSO-", lines, 1)
	return strings.NewReplacer("DIR", t.TempDir(), "HASH", demoHash).Replace(strings.Replace(config, "client 1 {\n\t\t\tname", methods+"\nclient 1 {\n\t\t\tname", 1))
}

const google = "signin oidc google {\nissuer https://accounts.google.example\nclient_id x\n}"

func TestWrongRulesAreRefusedOnTheirLine(t *testing.T) {
	for name, c := range map[string]struct {
		lines string
		line  string // begins the line that the error names
		want  []string
	}{
		"require without anything":       {"require", "require", []string{"expected what is required", "require group <name>..."}},
		"require of an unknown kind":     {"require role x", "require role", []string{"require role: expected user, group, email, email_domain, claim, signin or any"}},
		"require without values":         {"require email", "require email", []string{"email: expected at least one value"}},
		"an e-mail that is none":         {"require email studio.example", "require email", []string{`email "studio.example" is no address such as ann@studio.example`}},
		"a domain with an @":             {"require email_domain @studio.example", "require email_domain", []string{"without @, such as studio.example"}},
		"a wildcard":                     {"require email_domain *.studio.example", "require email_domain", []string{"is no domain"}},
		"a name that is none":            {"require user \"a b\"", "require user", []string{"expected the name of a user of signin local, or a subject"}},
		"a claim without values":         {"require claim department", "require claim", []string{"department: expected at least one value"}},
		"a claim with a rule of its own": {"require claim email a@b.example", "require claim", []string{"use email or group"}},
		"an unknown sign-in method":      {"require signin github", "require signin", []string{`signin "github" is unknown`}},
		"deny without anything":          {"deny", "deny", []string{"expected what is denied", "deny user <name|uuid>..."}},
		"deny of a sign-in method":       {"deny signin google", "deny signin", []string{"require signin local"}},
		"deny any":                       {"deny any {\nuser x\n}", "deny any", []string{"expected user, group, email, email_domain or claim"}},
		"any without a block":            {"require any user x", "require any", []string{"expected a block"}},
		"any without a line":             {"require any {\n}", "}", []string{"expected at least one line"}},
		"any with an unknown kind":       {"require any {\nrole x\n}", "role", []string{"role is no kind of rule"}},
		"a placeholder":                  {"require user {env.X}", "require user", []string{"is replaced in secrets only"}},
		"a max_age that is no time":      {"max_age often", "max_age", []string{"is not a duration"}},
		"a max_age that is too short":    {"max_age 1m", "max_age", []string{"max_age 1m0s is too short; the shortest is 5m0s"}},
		"two times of max_age":           {"max_age 1h\nmax_age 2h", "max_age 2h", []string{"duplicate option: max_age"}},
	} {
		t.Run(name, func(t *testing.T) { refusedOnItsLine(t, "header_prefix X-SSO-", c.lines, c.line, c.want) })
	}
}

// These are found when the modules are provisioned.
func TestRulesThatNeverHoldAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		lines, methods, want string
	}{
		"a claim, and no provider":           {"require claim department art", "", "no sign-in method of client 1 has claims"},
		"a name, and no local users allowed": {"require user ann", google + "\nclient 1 {\nsignin google\n}", "only users of signin local are known by name"},
		"a method that the client refuses":   {"require signin local", google + "\nclient 1 {\nsignin google\n}", "client 1 does not accept this sign-in method"},
		"seventeen claims":                   {manyClaims(17), google, "the gates name more than 16 claims"},
	} {
		t.Run(name, func(t *testing.T) {
			methods, client, _ := strings.Cut(c.methods, "\nclient 1 {\n")
			config := strings.Replace(ruled(t, c.lines, methods), "name Game", strings.TrimSuffix(client, "\n}")+"\nname Game", 1)
			adapted, err := adapt(config)
			if err == nil {
				err = validate(adapted)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q is not in: %v", c.want, err)
			}
		})
	}
}

func manyClaims(n int) string {
	var lines strings.Builder
	for i := range n {
		lines.WriteString("require any {\nclaim c" + strings.Repeat("x", i) + " v\nuser demo\n}\n")
	}
	return lines.String()
}

func TestRulesBecomeJSON(t *testing.T) {
	adapted, err := adapt(ruled(t, `require group admins
	require email_domain studio.example
	require any {
		email ann@partner.example bob@partner.example
		user carol
		claim department engineering
	}
	require signin google local
	deny user mallory
	max_age 12h`, google))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"require":["admins"]`, `"max_age":43200000000000`, `"require":[{"kind":"email_domain","values":["studio.example"]},{"kind":"signin","values":["google","local"]}]`,
		`"require_any":[[{"kind":"email","values":["ann@partner.example","bob@partner.example"]},{"kind":"user","values":["carol"]},{"claim":"department","kind":"claim","values":["engineering"]}]]`,
		`"deny":[{"kind":"user","values":["mallory"]}]`,
	} {
		if !strings.Contains(string(adapted), want) {
			t.Errorf("%s is not in %s", want, adapted)
		}
	}
	if err := validate(adapted); err != nil {
		t.Error(err)
	}
}
