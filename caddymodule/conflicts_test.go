package caddymodule

import (
	"strings"
	"testing"
)

// refusedPlaces returns why a Caddyfile is refused.
func refusedPlaces(t *testing.T, caddyfile string) error {
	t.Helper()
	config, err := adapt(caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	return validate(config)
}

// sitesOf is the right configuration with other sites.
func sitesOf(t *testing.T, old, spoiled, sites string) string {
	t.Helper()
	options, _, _ := strings.Cut(spoil(t, old, spoiled), "https://login.example {")
	return options + strings.ReplaceAll(strings.ReplaceAll(sites, "GATE1", "sso_gate {\nclient 1\n}\n"), "GATE2", "sso_gate {\nclient 2\n}\n")
}

func TestGatesOfTwoClientsOnOneSiteAreRefused(t *testing.T) {
	const (
		samePath  = "https://game.example/oauth2/callback"
		otherPath = "https://game.example/second"
		elsewhere = "https://b.example/oauth2/callback"
	)
	for name, c := range map[string]struct {
		second, sites string
		refused       bool
	}{
		"one callback":                    {samePath, "game.example {\nGATE1 GATE2 respond ok\n}", true},
		"one host, two callbacks":         {otherPath, "game.example {\nGATE1 GATE2 respond ok\n}", true},
		"the second has a matcher":        {samePath, "game.example {\nGATE1 sso_gate /b/* {\nclient 2\n}\nrespond ok\n}", true},
		"both have matchers":              {samePath, "game.example {\nsso_gate /a/* {\nclient 1\n}\nsso_gate /b/* {\nclient 2\n}\nrespond ok\n}", true},
		"a site for every host":           {samePath, ":8080 {\nGATE1 GATE2 respond ok\n}", true},
		"such a site beside another":      {samePath, ":8080 {\nGATE1 GATE2 respond ok\n}\nhttp://b.example:8080 {\nrespond ok\n}", true},
		"a site with a wildcard":          {samePath, "*.example {\nGATE1 GATE2 respond ok\n}", true},
		"a site with two hosts, one path": {samePath, "game.example, b.example {\nGATE1 GATE2 respond ok\n}", true},

		"by name":                         {samePath, "&(one) {\nGATE1\n}\n&(two) {\nGATE2\n}\ngame.example {\ninvoke one\ninvoke two\nrespond ok\n}", true},
		"by name, beside one of the site": {samePath, "&(two) {\nGATE2\n}\ngame.example {\nGATE1 invoke two\nrespond ok\n}", true},
		"in route":                        {samePath, "game.example {\nroute {\nGATE1 GATE2 respond ok\n}\n}", true},
		"the second for errors":           {samePath, "game.example {\nGATE1 respond ok\nhandle_errors 404 {\nGATE2 respond ok\n}\n}", true},

		"the same client twice":              {samePath, "game.example {\nGATE1 sso_gate /admin/* {\nclient 1\nrequire group admins\n}\nrespond ok\n}", false},
		"sites of their own":                 {elsewhere, "game.example {\nGATE1 respond ok\n}\nb.example {\nGATE2 respond ok\n}", false},
		"sites of their own, one host":       {samePath, "http://game.example:8080 {\nGATE1 respond ok\n}\nhttp://game.example:9090 {\nGATE2 respond ok\n}", false},
		"sites for every host, on two ports": {samePath, ":8080 {\nGATE1 respond ok\n}\n:9090 {\nGATE2 respond ok\n}", false},
		"a site, and one with a wildcard":    {samePath, "game.example {\nGATE1 respond ok\n}\n*.example {\nGATE2 respond ok\n}", false},
		"hosts of their own on one site":     {elsewhere, "game.example, b.example {\n@a host game.example\nsso_gate @a {\nclient 1\n}\n@b host b.example\nsso_gate @b {\nclient 2\n}\nrespond ok\n}", false},
		"the second is for other hosts only": {samePath, ":8080 {\nGATE1 @b host b.example\nsso_gate @b {\nclient 2\n}\nrespond ok\n}", false},
		"where nobody can tell":              {samePath, ":8080 {\nGATE1 @b expression `{host} == \"b.example\"`\nsso_gate @b {\nclient 2\n}\nrespond ok\n}", false},
		"in handles, which is warned about":  {samePath, "game.example {\nhandle /a/* {\nGATE1\n}\nhandle /b/* {\nGATE2\n}\n}", false},
		"on the portal, which has none":      {elsewhere, "login.example {\nsso_portal\nGATE1 GATE2 respond ok\n}", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := refusedPlaces(t, sitesOf(t, "brand {", "client 2 {\npublic\nredirect_uri "+c.second+"\n}\nbrand {", c.sites))
			if !c.refused {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("taken")
			}
			for _, want := range []string{"client 1 and client 2", "on game.example", "the same client", "a host of its own"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

func TestClass22WhereTheCookieCrossesSitesNoBackendIsOnThePortalsOrigin(t *testing.T) {
	for name, c := range map[string]struct {
		sites   string
		refused bool
	}{
		"beside the portal":              {"login.example {\nsso_portal\nGATE1 respond ok\n}", true},
		"for some paths":                 {"login.example {\nsso_portal\nsso_gate /app/* {\nclient 1\n}\nrespond ok\n}", true},
		"in handle":                      {"login.example {\nsso_portal\nhandle /app/* {\nGATE1 respond ok\n}\n}", true},
		"on a site for every host":       {":8080 {\nsso_portal\nGATE1 respond ok\n}", true},
		"in handle of such a site":       {":8080 {\nsso_portal\nhandle /app/* {\nGATE1 respond ok\n}\n}", true},
		"on a site with a wildcard":      {"*.example {\nsso_portal\nGATE1 respond ok\n}", true},
		"by name":                        {"&(app) {\nGATE1\n}\nlogin.example {\nsso_portal\ninvoke app\nrespond ok\n}", true},
		"the portal by name":             {"&(portal) {\nsso_portal\n}\nlogin.example {\ninvoke portal\nGATE1 respond ok\n}", true},
		"for errors":                     {"login.example {\nsso_portal\nhandle_errors {\nGATE1 respond ok\n}\n}", true},
		"on the host, behind a balancer": {"http://login.example:8080 {\nsso_portal\n}\nhttp://login.example:8081 {\nGATE1 respond ok\n}", true},

		"on an origin of its own":             {"login.example {\nsso_portal\n}\ngame.example {\nGATE1 respond ok\n}", false},
		"on a site for every host, elsewhere": {"login.example {\nsso_portal\n}\n:8081 {\nGATE1 respond ok\n}", false},
		"for another host of the portal's":    {":8080 {\nsso_portal\n@game host game.example\nsso_gate @game {\nclient 1\n}\nrespond ok\n}", false},
		"in handle for another host":          {":8080 {\nsso_portal\n@game host game.example\nhandle @game {\nGATE1 respond ok\n}\n}", false},
		"on another port, with its callback":  {"http://login.example:8080 {\nsso_portal\n}\nhttp://login.example:8081 {\nsso_gate {\nclient 2\n}\nrespond ok\n}", false},
	} {
		t.Run(name, func(t *testing.T) {
			const second = "client 2 {\npublic\nredirect_uri https://login.example:8081/cb\n}\nbrand {"
			for _, sameSite := range []string{"none", "lax"} {
				sites := strings.Replace(sitesOf(t, "brand {", second, c.sites), "idle 24h", "idle 24h\nsame_site "+sameSite, 1)
				err := refusedPlaces(t, sites)
				if (err != nil) != (c.refused && sameSite == "none") {
					t.Fatalf("same_site %s: %v", sameSite, err)
				}
				if err == nil {
					continue
				}
				for _, want := range []string{"same_site none", "the gate of client 1", "https://login.example", "an origin of its own"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is not in: %v", want, err)
					}
				}
			}
		})
	}
}

// What runs goes on when such a configuration is loaded.
func TestALoadIsRefusedForWhereItsGatesStand(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	before := w.running()
	err := w.load(setup{
		global:  "client 2 {\npublic\nredirect_uri http://SITE/second\n}",
		handler: "sso_gate /b/* {\nclient 2\n}\nrespond ok",
	})
	if err == nil || !strings.Contains(err.Error(), "the gates of client 1 and client 2") || !strings.Contains(err.Error(), w.site) {
		t.Fatalf("got %v", err)
	}
	if w.running() != before {
		t.Error("what ran before does not run any more")
	}
	if got := w.visitor().get("http://" + w.portal + "/sso/sign_in"); got.StatusCode != 200 {
		t.Errorf("the portal answers %s", got.Status)
	}
}
