package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loaded is what `caddy validate` says of the right configuration with other options and
// sites: what it warns of, and the error. GATE stands for a gate.
func loaded(t *testing.T, options func(string) string, sites string) ([]string, error) {
	t.Helper()
	before, _, _ := strings.Cut(spoil(t, "", ""), "https://login.example {")
	config, err := adapt(options(before) + strings.ReplaceAll(sites, "GATE", aGate) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return said(t, config)
}

// with puts one text in the place of another.
func with(pairs ...string) func(string) string {
	return func(s string) string { return strings.NewReplacer(pairs...).Replace(s) }
}

const (
	onPortal    = "login.example {\nsso_portal\n}\n"
	sharedStore = "storage redis redis://localhost:1 {\nstorage_key " + someSecret + "\n}"
	oneGate     = "game.example {\nGATE respond ok\n}\n"
	aPortal     = "a.example {\nsso_portal\n}\n"
	anyGroup    = "sso_gate {\nclient 1\nrequire group GROUP\n}\nrespond ok\n"
)

func TestAConfigurationThatWorksIsLoadedWithoutAWarning(t *testing.T) {
	required := onPortal + "game.example {\nsso_gate {\nclient 1\nrequire group crew\n}\nrespond ok\n}\n"
	for name, c := range map[string]struct {
		options func(string) string
		sites   string
	}{
		"a portal and a gate":                    {with(), onPortal + oneGate},
		"a portal for every host":                {with(), "http://:8080 {\nsso_portal\n}\n" + oneGate},
		"a portal below a wildcard":              {with(), "*.example {\n@login host login.example\nhandle @login {\nsso_portal\n}\n@game host game.example\nhandle @game {\nGATE respond ok\n}\n}\n"},
		"a node with gates alone":                {with("storage memory", sharedStore), oneGate},
		"a node with a portal alone":             {with(), onPortal},
		"a gate on the portal":                   {with(), "login.example {\nsso_portal\nGATE respond ok\n}\n"},
		"a gate of the same host on http":        {with(), onPortal + "http://game.example {\nGATE respond ok\n}\n"},
		"a gate behind another port":             {with("game.example/oauth2", "game.example:8443/oauth2"), onPortal + oneGate},
		"a gate for the hosts of a pattern":      {with(), onPortal + "*.example {\nGATE respond ok\n}\n"},
		"hosts with gates of their own":          {with("brand {", "client 2 {\npublic\nredirect_uri https://b.example/cb\n}\nbrand {"), onPortal + "game.example, b.example {\n@a host game.example\nsso_gate @a {\nclient 1\n}\n@b host b.example\nsso_gate @b {\nclient 2\n}\nrespond ok\n}\n"},
		"a site on plain http of this machine":   {with("https://game.example/oauth2/callback", "http://localhost:8081/cb"), onPortal + "http://localhost:8081 {\nGATE respond ok\n}\n"},
		"a group of a user":                      {with(), onPortal + "game.example {\n" + strings.Replace(anyGroup, "GROUP", "players", 1) + "}\n"},
		"a group that a file of users may give":  {with("attempts {", "users nowhere.jsonl\nattempts {"), required},
		"a group that a provider may give":       {with("signin local {", "signin oidc acme {\nissuer https://acme.example\nclient_id x\nclaim groups roles\n}\nsignin local {"), required},
		"a group that a backend may give":        {with("signin local {", "signin backend own {\nurl https://own.example\nsecret "+someSecret+"\n}\nsignin local {"), required},
		"a group that a page may give":           {with("signin local {", "signin trusted own {\nurl https://own.example\nsecret "+someSecret+"\n}\nsignin local {"), required},
		"a gate for clients, whose users cannot": {with("brand {", "client 9 {\naudience 1\nsecret "+someSecret+"\nredirect_uri https://x.example/cb\n}\nbrand {"), strings.Replace(required, "require", "allow_client 9\nrequire", 1)},
		"basic_auth where the gate is not":       {with(), onPortal + "game.example {\n@app not path /metrics\nsso_gate @app {\nclient 1\n}\nbasic_auth /metrics {\nann " + demoHash + "\n}\nrespond ok\n}\n"},
		"forward_auth where the gate is not":     {with(), onPortal + "game.example {\n@app not path /api/*\nsso_gate @app {\nclient 1\n}\nforward_auth /api/* auth:1 {\nuri /verify\n}\nrespond ok\n}\n"},
		"a host that another handle answers":     {with(), onPortal + "game.example, wiki.example {\n@wiki host wiki.example\nhandle @wiki {\nrespond public\n}\nhandle {\nGATE respond ok\n}\n}\n"},
		"a pattern without the portal":           {with("https://game.example/oauth2/callback", "https://game.example/oauth2/callback https://wiki.example/cb"), onPortal + "*.example {\nGATE respond ok\n}\n"},
		"a gate for some addresses alone":        {with(), onPortal + "game.example {\n@lan remote_ip private_ranges\nhandle @lan {\nGATE reverse_proxy app:80\n}\nhandle {\nabort\n}\n}"},
		"what comes by a server in front":        {with(), onPortal + "game.example {\n@front {\nheader X-Front *\nnot client_ip 192.0.2.1\nprotocol http\n}\nhandle @front {\nGATE reverse_proxy app:80\n}\nabort\n}"},
		"a portal in a handle for all":           {with(), "login.example {\nhandle {\nsso_portal\n}\n}\n" + oneGate},
		"a portal in a handle for each API":      {with(), "login.example {\nhandle /sso/* {\nsso_portal\n}\nhandle /api/* {\nsso_portal\n}\nhandle {\nrespond ok\n}\n}\n" + oneGate},
		"basic_auth of another site":             {with(), onPortal + oneGate + "b.example {\nbasic_auth {\nann " + demoHash + "\n}\nrespond ok\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := loaded(t, c.options, c.sites)
			if err != nil {
				t.Fatal(err)
			}
			heard(t, warnings)
		})
	}
}

func TestAConfigurationThatCannotWorkIsWarnedAbout(t *testing.T) {
	const noURI = "has no redirect_uri on "
	oidc := "signin oidc acme {\nissuer https://acme.example\nclient_id x\n}\n"
	require := func(groups string) string {
		return onPortal + "game.example {\n" + strings.Replace(anyGroup, "GROUP", groups, 1) + "}\n"
	}
	for name, c := range map[string]struct {
		options func(string) string
		sites   string
		want    string
	}{
		"a portal beside that of the issuer":        {with(), onPortal + aPortal + oneGate, "sso_portal is on a.example, too"},
		"another host of the portal's site":         {with(), "login.example, a.example {\nsso_portal\n}\n" + oneGate, "sso_portal is on a.example, too"},
		"a portal beside one for every host":        {with(), "http://:8080 {\nsso_portal\n}\n" + aPortal, "is on a.example, too"},
		"the only portal on another host":           {with(), aPortal + oneGate, "no site is for login.example, the host of the issuer"},
		"gates alone, with a storage of their own":  {with(), oneGate, "no site for login.example"},
		"the same, with a file":                     {with("storage memory", "storage file /nowhere/sso.db"), oneGate, "put sso_portal on a site for login.example"},
		"a gate on a host without a redirect_uri":   {with(), onPortal + "wiki.example {\nGATE respond ok\n}\n", noURI + "wiki.example"},
		"one of two hosts":                          {with(), onPortal + "game.example, wiki.example {\nGATE respond ok\n}\n", "redirect_uri https://wiki.example/oauth2/callback"},
		"a gate below a wildcard":                   {with(), onPortal + "*.example {\n@wiki host wiki.example\nhandle @wiki {\nGATE respond ok\n}\n}\n", noURI + "wiki.example"},
		"a pattern of other hosts":                  {with(), onPortal + "*.wiki.example {\nGATE respond ok\n}\n", noURI + "*.wiki.example"},
		"a pattern beside the portal":               {with("https://game.example/oauth2/callback", "https://app.other.example/cb"), onPortal + "*.example {\nGATE respond ok\n}\n", noURI + "*.example"},
		"on the port of the site":                   {with("issuer https://login.example", "issuer https://login.example:8443"), "login.example:8443 {\nsso_portal\n}\nwiki.example:9443 {\nGATE respond ok\n}\n", "redirect_uri https://wiki.example:9443/oauth2/callback"},
		"a portal in handle_path":                   {with(), "login.example {\nhandle_path /auth/* {\nsso_portal\n}\n}\n" + oneGate, "sso_portal stands in handle_path"},
		"a portal below a matcher":                  {with(), "login.example {\nhandle /sso/* {\nsso_portal\n}\n}\n" + oneGate, "does not see /api/oauth2/auth"},
		"the redirect_uri on the portal":            {with("https://game.example/oauth2/callback", "https://login.example/oauth2/callback"), onPortal + oneGate, noURI + "game.example"},
		"a redirect_uri of an application":          {with("https://game.example/oauth2/callback", "http://127.0.0.1:8081/cb"), onPortal + "http://127.0.0.1:8081 {\nGATE respond ok\n}\n", "use http://localhost for the site"},
		"http alone, where the site is https":       {with("https://game.example/oauth2/callback", "http://localhost:8443/cb"), onPortal + "https://localhost:8443 {\nGATE respond ok\n}\n", "register instead: https://localhost:8443/cb"},
		"a group that nobody has":                   {with(), require("player"), `require group "player": no user of the sign-in methods of client 1 can have it; did you mean "players"?`},
		"one of two groups":                         {with(), require("players crew"), `require group "crew"`},
		"a group of a provider without a claim":     {with("signin local {", oidc+"signin local {"), require("crew"), `require group "crew"`},
		"a group of a method that does not count":   {with("signin local {", oidc+"signin local {", "name Game", "signin acme"), require("players"), "no user has a group"},
		"forward_auth behind a gate":                {with(), onPortal + "game.example {\nGATE forward_auth auth:1 {\nuri /verify\n}\nrespond ok\n}\n", "forward_auth asks another service"},
		"the same, for a path that the gate is for": {with(), onPortal + "game.example {\n@app not path /public/*\nsso_gate @app {\nclient 1\n}\nforward_auth /api/* auth:1 {\nuri /verify\n}\nrespond ok\n}\n", "forward_auth asks another service"},
		"basic_auth behind a gate":                  {with(), onPortal + "game.example {\nGATE basic_auth {\nann " + demoHash + "\n}\nrespond ok\n}\n", "basic_auth, or other authentication"},
		"basic_auth before a gate, by order":        {with("storage file_system", "order sso_gate after basic_auth\nstorage file_system"), onPortal + "game.example {\nGATE basic_auth {\nann " + demoHash + "\n}\nrespond ok\n}\n", "basic_auth, or other authentication"},
		"basic_auth in a handle behind a gate":      {with(), onPortal + "game.example {\nGATE handle /api/* {\nbasic_auth {\nann " + demoHash + "\n}\nrespond ok\n}\n}\n", "basic_auth, or other authentication"},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := loaded(t, c.options, c.sites)
			if err != nil {
				t.Fatal(err)
			}
			heard(t, warnings, c.want)
		})
	}
}

func TestPortalsOfWhichNoneIsOnTheIssuersHostAreRefused(t *testing.T) {
	_, err := loaded(t, with(), aPortal+"b.example {\nsso_portal\n}\n"+oneGate)
	for _, want := range []string{"a.example and b.example", "none of them is for login.example", "put one sso_portal on a site for login.example"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}

// Whichever app Caddy comes to first: an error of ours begins with what it is about.
func TestAnErrorIsNotBuriedUnderTheHandlersAroundIt(t *testing.T) {
	for name, c := range map[string]struct {
		options func(string) string
		sites   string
		want    string
	}{
		"an empty placeholder":      {with("public", "secret {env.SSO_TEST_UNSET}"), onPortal + oneGate, "client 1: secret: placeholder {env.SSO_TEST_UNSET} is empty; is it set for the process of Caddy?"},
		"the same, of the storage":  {with("storage memory", strings.Replace(sharedStore, "redis://localhost:1 {", "redis://localhost:1 {\nkey_prefix {env.SSO_TEST_UNSET}", 1)), onPortal + oneGate, "key_prefix: placeholder {env.SSO_TEST_UNSET} is empty; is it set for the process of Caddy?"},
		"what stands in two places": {with("brand {", "client 2 {\npublic\nredirect_uri https://game.example/x\n}\nbrand {"), onPortal + "game.example {\nGATE sso_gate /x {\nclient 2\n}\nrespond ok\n}\n", "sso_gate: the gates of client 1 and client 2 stand on one site"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loaded(t, c.options, c.sites)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("no %q in: %v", c.want, err)
			}
			if strings.Contains(err.Error(), "http.handlers") || strings.Contains(err.Error(), "route 0") || !strings.HasPrefix(err.Error(), "loading sso app module: ") {
				t.Errorf("buried: %v", err)
			}
		})
	}
}

func TestHandlersInJSONWithoutTheAppAreRefused(t *testing.T) {
	config, err := adapt(spoil(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	c := object(t, config)
	delete(c["apps"].(map[string]any), "sso")
	if err := loadJSON(c); err == nil || !strings.Contains(err.Error(), `the app "sso" is missing`) {
		t.Error(err)
	}
}

func TestAFileOfUsersThatNobodyCanReadIsRefusedOnItsLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	for text, want := range map[string]string{
		`[{"name":"ann"}]`:          "is a JSON array; write one object a line",
		"\xff\xfe{\x00}\x00":        "is UTF-16",
		"":                          "is empty",
		`{"name":"ann","hash":"x"}`: "", // said line by line when it is read
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file := spoil(t, "attempts {", "users "+path+"\nattempts {")
		_, err := adapt(file)
		if want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !onLineThatBegins(file, "users "+path, err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
