package provider_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
)

// groupsOf signs in with claims, written in JSON, and returns the groups and the
// problems that the log tells.
func groupsOf(t *testing.T, claims, name, separator string) (groups, problems []string) {
	t.Helper()
	f := providertest.New(t)
	f.Claims = map[string]any{}
	if err := json.Unmarshal([]byte(claims), &f.Claims); err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zapcore.InfoLevel)
	u, err := f.Method(func(o *provider.Options) {
		o.Claims.Groups, o.GroupSeparator, o.Log = name, separator, zap.New(core)
	}).Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range log.All() {
		fields := l.ContextMap()
		problem, _ := fields["error"].(string)
		if problem == "" {
			problem = l.Message
		}
		if fields["signin"] != "acme" || fields["claim"] != name || fields["subject"] != u.Subject {
			t.Errorf("the line %q does not say whose it is: %v", l.Message, fields)
		}
		problems = append(problems, problem)
	}
	return u.Groups, problems
}

func TestGroupsComeAsProvidersSendThem(t *testing.T) {
	for name, c := range map[string]struct {
		claims, claim, separator string
		groups                   []string
	}{
		"Keycloak, roles of the realm":       {`{"realm_access":{"roles":["admin","user"]}}`, "realm_access.roles", "", []string{"admin", "user"}},
		"Keycloak, roles of a client":        {`{"resource_access":{"my.app":{"roles":["admin"]},"account":{"roles":["manage-account"]}}}`, "resource_access.my.app.roles", "", []string{"admin"}},
		"Keycloak, groups":                   {`{"groups":["/staff/admins"]}`, "groups", "", []string{"/staff/admins"}},
		"Zitadel":                            {`{"urn:zitadel:iam:org:project:roles":{"user":{"17":"acme.example"},"admin":{"17":"acme.example","18":"b.example"}}}`, "urn:zitadel:iam:org:project:roles", "", []string{"admin", "user"}},
		"Auth0, a name with dots":            {`{"https://acme.example/v1.0/roles":["admin"]}`, "https://acme.example/v1.0/roles", "", []string{"admin"}},
		"Auth0, metadata":                    {`{"https://acme.example/app_metadata":{"authorization":{"roles":["admin"]}}}`, "https://acme.example/app_metadata.authorization.roles", "", []string{"admin"}},
		"Cognito":                            {`{"cognito:groups":["admin"]}`, "cognito:groups", "", []string{"admin"}},
		"Entra ID, roles":                    {`{"roles":["App.Admin"]}`, "roles", "", []string{"App.Admin"}},
		"AD FS and IdentityServer, only one": {`{"role":"admin"}`, "role", "", []string{"admin"}},
		"Firebase, an object of yes and no":  {`{"roles":{"admin":true,"staff":false}}`, "roles", "", []string{"admin"}},
		"Casdoor, objects with a name":       {`{"roles":[{"owner":"acme","name":"admin"},{"owner":"acme","name":"user"}]}`, "roles", "", []string{"admin", "user"}},
		"SCIM, objects with other members":   {`{"groups":[{"value":"17","display":"admin"},{"value":"18","display":"user"}]}`, "groups.display", "", []string{"admin", "user"}},
		"roles within a list of objects":     {`{"orgs":[{"id":1,"roles":["a","b"]},{"id":2,"roles":["b","c"]},{"id":3}]}`, "orgs.roles", "", []string{"a", "b", "c"}},
		"numbers":                            {`{"groups":[17,4503599627370496]}`, "groups", "", []string{"17", "4503599627370496"}},
		"a number":                           {`{"groups":17}`, "groups", "", []string{"17"}},
		"a list within a text":               {`{"groups":"[\"admin\",\"user\"]"}`, "groups", "", []string{"admin", "user"}},
		"commas":                             {`{"groups":"admin, Domain Users,,"}`, "groups", "comma", []string{"admin", "Domain Users"}},
		"semicolons, as OneLogin has them":   {`{"groups":"admin;CN=users,DC=acme"}`, "groups", "semicolon", []string{"admin", "CN=users,DC=acme"}},
		"spaces":                             {`{"groups":" admin  user "}`, "groups", "space", []string{"admin", "user"}},
		"a name of LDAP":                     {`{"groups":"CN=Domain Admins,DC=acme"}`, "groups", "none", []string{"CN=Domain Admins,DC=acme"}},
		"a list is no text to be split":      {`{"groups":["CN=admins,DC=acme"]}`, "groups", "comma", []string{"CN=admins,DC=acme"}},
		"the whole name counts before a path": {
			`{"a.b":["whole"],"a":{"b":["path"]}}`, "a.b", "", []string{"whole"},
		},
		"none, said so":          {`{"groups":[]}`, "groups", "", nil},
		"none, in an empty text": {`{"groups":""}`, "groups", "", nil},
		"none, of an object":     {`{"groups":{}}`, "groups", "", nil},
	} {
		groups, problems := groupsOf(t, c.claims, c.claim, c.separator)
		if !slices.Equal(groups, c.groups) || problems != nil {
			t.Errorf("%s: groups %q, expected %q; the log tells %q", name, groups, c.groups, problems)
		}
	}
}

func TestWhatCannotBeTakenOfGroupsIsLogged(t *testing.T) {
	for name, c := range map[string]struct {
		claims, claim string
		groups        []string
		problem       string
	}{
		"an object that has them within":   {`{"realm_access":{"roles":["admin"]}}`, "realm_access", nil, "such as realm_access.roles"},
		"objects that have them within":    {`{"resource_access":{"app":{"roles":["admin"]}}}`, "resource_access", nil, "such as realm_access.roles"},
		"an object of this and that":       {`{"groups":{"admin":true,"user":"no"}}`, "groups", nil, "another kind of value"},
		"yes":                              {`{"groups":true}`, "groups", nil, "another kind of value"},
		"objects without a name":           {`{"groups":[{"id":"17"}]}`, "groups", nil, "name their member by a path"},
		"lists in a list":                  {`{"groups":["user",["admin"]]}`, "groups", []string{"user"}, "neither a text"},
		"a fraction":                       {`{"groups":[1.5]}`, "groups", nil, "neither a text"},
		"a number that others would share": {`{"groups":[9007199254740993]}`, "groups", nil, "neither a text"},
		"a number among texts":             {`{"groups":["user",17]}`, "groups", []string{"user"}, "neither a text"},
		"a name with a line break":         {`{"groups":["user","a\nb"]}`, "groups", []string{"user"}, "control characters"},
		"a path to several claims":         {`{"a":{"b.c":["user"]},"a.b":{"c":["admin"]}}`, "a.b.c", nil, "leads to several claims"},
		"a text that may be a list":        {`{"groups":"user,admin"}`, "groups", []string{"user,admin"}, "set group_separator"},
		"a text with spaces":               {`{"groups":"user admin"}`, "groups", []string{"user admin"}, "set group_separator"},
		"objects in a list in a list":      {`{"groups":[[{"display":"admin"}]]}`, "groups.display", nil, "compare the setting claim groups"},
		"a claim that is not there":        {`{"realm_access":{"roles":["admin"]}}`, "realm_access.role", nil, "compare the setting claim groups"},
		"Entra ID beyond 200":              {`{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://graph.example/"}}}`, "groups", nil, "refers to another place"},
		"Entra ID, implicitly":             {`{"hasgroups":true}`, "groups", nil, "refers to another place"},
	} {
		groups, problems := groupsOf(t, c.claims, c.claim, "")
		if !slices.Equal(groups, c.groups) || len(problems) != 1 || !strings.Contains(problems[0], c.problem) {
			t.Errorf("%s: groups %q, expected %q; the log tells %q, expected %q", name, groups, c.groups, problems, c.problem)
		}
		for _, value := range []string{"admin", "graph.example"} {
			if strings.Contains(strings.Join(problems, ""), value) {
				t.Errorf("%s: the log has a value of the claim: %q", name, problems)
			}
		}
	}
}

func TestTooManyGroupsAreLogged(t *testing.T) {
	names := make([]string, 201)
	for i := range names {
		names[i] = strings.Repeat("g", i+1)
	}
	raw, err := json.Marshal(map[string]any{"groups": names})
	if err != nil {
		t.Fatal(err)
	}
	groups, problems := groupsOf(t, string(raw), "groups", "")
	if len(groups) == 0 || len(groups) >= 200 || len(problems) != 1 || !strings.Contains(problems[0], "more than 200 groups, or more than 8 KiB") {
		t.Errorf("%d groups, the log tells %q", len(groups), problems)
	}
}
