package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/routecheck"
)

const (
	gatePassed   = "requests to other routes of its site pass unauthenticated"
	unseen       = "so that sign-ins there may fail"
	unknownFirst = "that caddy-sso does not know comes before the gate"
	authFirst    = "forward_auth comes before the gate"
	neverAsked   = "answers every request before the gate"
	errorBackend = "a backend in an error route runs outside the gate"
	errorUsers   = "lets more users pass than the gate of its site"
	errorFiles   = "serves the file of the request's path"
	leavesOpen   = "but not /admin itself; name both, such as: @private path /admin /admin/*"
)

// What is right is neither refused nor warned about.
func TestWhatIsRightIsSilent(t *testing.T) {
	for name, c := range map[string]struct{ options, sites string }{
		"a site":                           {"", "game.example {\nGATE reverse_proxy app:80\n}"},
		"a site with several hosts":        {"", "game.example, http://b.example:8080 {\nGATE respond ok\n}"},
		"a site for every host":            {"", ":8080 {\nGATE reverse_proxy app:80\n}"},
		"the same, beside one with a host": {"", ":8080 {\nGATE reverse_proxy app:80\n}\nhttp://b.example:8080 {\nGATE reverse_proxy app:80\n}"},
		"a site that is public, beside it": {"", "http://a.example:8080 {\nreverse_proxy app:80\n}\nhttp://game.example:8080 {\nGATE reverse_proxy app:80\n}"},
		"a public host of a wildcard":      {"", "http://a.example:8080 {\nreverse_proxy app:80\n}\nhttp://*.example:8080 {\nGATE reverse_proxy app:80\n}"},
		"a site that is public, after":     {"", ":8080 {\nreverse_proxy app:80\n}\nhttp://game.example:8080 {\nGATE reverse_proxy app:80\n}"},
		"handles behind a gate":            {"", "game.example {\nGATE handle /api/* {\nreverse_proxy api:80\n}\nhandle_path /ws/* {\nreverse_proxy ws:80\n}\nhandle {\nroot * /srv\ntry_files {path} /index.html\nfile_server\n}\n}"},
		"php behind a gate":                {"", "game.example {\nroot * /srv\nGATE encode gzip\nphp_fastcgi php:9000\nfile_server\n}"},
		"a snippet":                        {"", "(gated) {\nGATE\n}\ngame.example {\nimport gated\nreverse_proxy app:80\n}"},
		"gates with matchers":              {"", "game.example {\n@a path /a /a/*\nsso_gate @a {\nclient 1\n}\n@b path /b*\nsso_gate @b {\nclient 1\n}\nrespond ok\n}"},
		"public paths of a gate":           {"", "game.example {\n@private not path /public/*\nsso_gate @private {\nclient 1\n}\nreverse_proxy app:80\n}"},
		"what passes, before":              {"", "game.example {\nlog\ntracing {\nspan x\n}\nmap {host} {x} {\ndefault y\n}\nvars a b\nroot * /srv\nlog_append a b\nheader X-A b\nrequest_body {\nmax_size 1MB\n}\nGATE reverse_proxy app:80\n}"},
		"what changes requests, after":     {"", "game.example {\nGATE redir /old /new\nmethod GET\nrewrite /a /b\nuri strip_prefix /c\nrequest_header X-A b\ntemplates\nreverse_proxy app:80\n}"},
		"intercept, after":                 {"", "game.example {\nGATE intercept {\n@e status 500\nhandle_response @e {\nreverse_proxy errors:80\n}\n}\nreverse_proxy app:80\n}"},
		"handle_response, after":           {"", "game.example {\nGATE reverse_proxy app:80 {\n@e status 500\nhandle_response @e {\nreverse_proxy errors:80\n}\n}\n}"},
		"before respond by order":          {"order sso_gate before respond", "game.example {\nGATE respond ok\n}"},
		"a public path by order":           {"order sso_gate before reverse_proxy", "game.example {\nGATE respond /health ok\nhandle /public/* {\nfile_server\n}\nreverse_proxy app:80\n}"},

		"a gate in the only handle":            {"", "game.example {\nhandle {\nGATE reverse_proxy app:80\n}\n}"},
		"a gate in the only route":             {"", "game.example {\nroute {\nGATE reverse_proxy app:80\n}\n}"},
		"a gate in the only route, every host": {"", ":8080 {\nroute {\nGATE reverse_proxy app:80\n}\n}"},
		"a public path first in route":         {"", "game.example {\nroute {\nrespond /health ok\nGATE reverse_proxy app:80\n}\n}"},
		"a gate in every handle":               {"", "game.example {\nhandle /api/* {\nGATE reverse_proxy api:80\n}\nhandle {\nGATE reverse_proxy app:80\n}\n}"},
		"a second gate in a handle":            {"", "game.example {\nGATE handle /admin* {\nsso_gate {\nclient 1\nrequire group admins\n}\nreverse_proxy app:80\n}\nhandle {\nreverse_proxy app:80\n}\n}"},
		"a named route":                        {"", "&(app) {\nroute {\nGATE reverse_proxy app:80\n}\n}\ngame.example {\ninvoke app\n}"},
		"the wildcard pattern":                 {"", "*.example {\n@game host game.example\nhandle @game {\nGATE reverse_proxy app:80\n}\n@pub host pub.example\nhandle @pub {\nreverse_proxy pub:80\n}\nhandle {\nabort\n}\n}"},
		"the wildcard pattern with one host":   {"", "*.example {\n@game host game.example\nhandle @game {\nGATE reverse_proxy app:80\n}\nrespond 404\n}"},
		"a public host before all others":      {"", "*.example {\n@pub host pub.example\nhandle @pub {\nreverse_proxy pub:80\n}\nhandle {\nGATE reverse_proxy app:80\n}\n}"},

		"static error pages":            {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nroot * /srv\nrewrite * /{err.status_code}.html\ntemplates\nfile_server\n}\n}"},
		"files for errors, of files":    {"", "game.example {\nroot * /srv\nGATE file_server\nhandle_errors {\n@page file /{err.status_code}.html /error.html\nhandle @page {\nrewrite * {file_match.relative}\nfile_server\n}\nrespond no\n}\n}"},
		"the same, by try_files":        {"", "game.example {\nroot * /srv\nGATE file_server\nhandle_errors {\ntry_files /{err.status_code}.html /error.html\nfile_server\n}\n}"},
		"the same, by rewrite":          {"", "game.example {\nroot * /srv\nGATE file_server\nhandle_errors 404 {\nrewrite /404.html\nfile_server\n}\n}"},
		"any files, of a backend":       {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nroot * /srv\nfile_server\n}\n}"},
		"a text for errors":             {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors 404 5xx {\nheader X-A b\nrespond \"{err.status_text}\"\n}\nhandle_errors {\nredir https://status.example\n}\n}"},
		"a gate in handle_errors":       {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nGATE reverse_proxy app:80\n}\n}"},
		"the same, for some":            {"", "game.example {\nsso_gate /x* {\nclient 1\nrequire group a b\n}\nreverse_proxy app:80\nhandle_errors {\nsso_gate /x* {\nclient 1\nrequire group b\n}\nreverse_proxy app:80\n}\n}"},
		"error backends without a gate": {"", "a.example {\nreverse_proxy app:80\nhandle_errors {\nreverse_proxy app:80\n}\n}\ngame.example {\nGATE reverse_proxy app:80\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := said(t, adaptSites(t, c.options, c.sites))
			if err != nil {
				t.Fatal(err)
			}
			heard(t, warnings)
		})
	}
}

func TestClass32WhatGoesAroundAGateIsRefused(t *testing.T) {
	const (
		first    = "comes before the gate of client 1 on game.example"
		byErrors = "leads to an upstream that the gate of client 1 on game.example protects"
	)
	order := "order sso_gate before reverse_proxy"
	for name, c := range map[string]struct{ options, sites, want, place string }{
		"by order, in handle":              {order, "game.example {\nGATE handle {\nreverse_proxy app:80\n}\n}", first, "reverse_proxy to app:80 (on game.example; apps/http/servers/srv0/routes/0/handle/0/routes/0/handle/0/routes/0/handle/0)"},
		"by order, in handle with a path":  {order, "game.example {\nGATE handle /api/* {\nreverse_proxy app:80\n}\n}", first, "path /api/*"},
		"by order, in route":               {order, "game.example {\nGATE route {\nreverse_proxy app:80\n}\n}", first, "app:80"},
		"by order, in invoke":              {order, "&(app) {\nreverse_proxy app:80\n}\ngame.example {\nGATE invoke app\n}", first, "srv0/named_routes/app/handle/0"},
		"by order, in invoke of invoke":    {order, "&(a) {\ninvoke b\n}\n&(b) {\nreverse_proxy app:80\n}\ngame.example {\nGATE invoke a\n}", first, "srv0/named_routes/b/handle/0"},
		"last of all":                      {"order sso_gate last", "game.example {\nGATE reverse_proxy /a/* app:80\n}", first, "path /a/*"},
		"php first":                        {"order sso_gate after php_fastcgi", "game.example {\nGATE root * /srv\nphp_fastcgi php:9000\n}", first, "reverse_proxy to php:9000"},
		"in handle_response of the first":  {"order sso_gate last", "game.example {\nGATE forward_auth auth:1 {\nuri /verify\nhandle_response {\nreverse_proxy app:80\n}\n}\n}", first, "handle_response/1/routes/0/handle/0"},
		"forward_auth with any path":       {"order sso_gate last", "game.example {\nGATE forward_auth app:80 {\nuri {path}\n}\n}", first, "app:80"},
		"in intercept before the gate":     {"order sso_gate last", "game.example {\nGATE intercept {\nhandle_response {\nreverse_proxy app:80\n}\n}\n}", first, "handle_response/0/routes/0/handle/0"},
		"on a site for every host":         {order, ":8080 {\nGATE handle {\nreverse_proxy app:80\n}\n}", "the gate of client 1 on the site for every host of :8080", "app:80"},
		"errors lead to the same upstream": {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nreverse_proxy app:80\n}\n}", byErrors, "srv0/errors/routes/0"},
		"errors of a status":               {"", "game.example {\nGATE reverse_proxy localhost:80\nhandle_errors 404 {\nhandle {\nreverse_proxy 127.0.0.1:80\n}\n}\n}", byErrors, "127.0.0.1:80"},
		"errors lead to one of several":    {"", "game.example {\nGATE handle /a/* {\nreverse_proxy a:80 b:80\n}\nhandle_errors {\nreverse_proxy c:80 b:80\n}\n}", byErrors, "c:80, b:80"},
		"errors lead to a placeholder":     {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nreverse_proxy {vars.upstream}:80\n}\n}", byErrors, "{http.vars.upstream}:80"},
		"the upstream is a placeholder":    {"", "game.example {\nGATE reverse_proxy {vars.upstream}\nhandle_errors {\nreverse_proxy app:80\n}\n}", byErrors, "app:80"},
		"errors lead to dynamic upstreams": {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nreverse_proxy {\ndynamic a app 80\n}\n}\n}", byErrors, "dynamic upstreams"},
		"errors, by invoke":                {"", "&(app) {\nreverse_proxy app:80\n}\ngame.example {\nGATE invoke app\nhandle_errors {\ninvoke app\n}\n}", byErrors, "named_routes/app"},
		"errors, with the gate in handle":  {"", "game.example {\nhandle {\nGATE reverse_proxy app:80\n}\nhandle_errors {\nreverse_proxy app:80\n}\n}", byErrors, "app:80"},
		"errors, with the gate after":      {order, "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nhandle {\nreverse_proxy app:80\n}\nGATE\n}\n}", byErrors, "app:80"},
		"errors of a wildcard site":        {"", "http://game.example:8080 {\nGATE reverse_proxy app:80\n}\nhttp://*.example:8080 {\nrespond ok\nhandle_errors {\nreverse_proxy app:80\n}\n}", byErrors, "on *.example"},
		"errors, past a gate for some":     {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nsso_gate /x* {\nclient 1\n}\nreverse_proxy app:80\n}\n}", byErrors, "app:80"},
		"php in an error route":            {"", "game.example {\nroot * /srv\nGATE php_fastcgi unix//run/php.sock\nhandle_errors {\nroot * /srv\nphp_fastcgi unix//run/php.sock\n}\n}", byErrors, "unix//run/php.sock"},
		"only by name, for every host":     {"", "&(gated) {\nroute {\nGATE\n}\n}\n:8080 {\nheader X-A b\ninvoke /app* gated\nreverse_proxy app:80\n}", "cannot be deleted there", "app:80"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := said(t, adaptSites(t, c.options, c.sites))
			if err == nil {
				t.Fatal("taken")
			}
			for _, want := range []string{c.want, c.place, "put sso_gate"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

func TestWhatMayBeWrongWithPlacesIsSaidOnce(t *testing.T) {
	order := "order sso_gate before reverse_proxy"
	for name, c := range map[string]struct {
		options, sites string
		want           []string
	}{
		"respond in handle, by order":         {order, "game.example {\nGATE handle {\nrespond ok\n}\n}", []string{neverAsked}},
		"respond, by order":                   {order, "game.example {\nGATE respond ok\n}", []string{neverAsked}},
		"handles that answer, by order":       {order, "game.example {\nGATE handle /a* {\nrespond a\n}\nhandle {\nrespond ok\n}\n}", []string{neverAsked}},
		"an error, by order":                  {order, "game.example {\nGATE error 404\n}", []string{neverAsked}},
		"forward_auth first":                  {"order sso_gate after forward_auth", "game.example {\nforward_auth auth:1 {\nuri /verify\ncopy_headers Remote-User\n}\nGATE reverse_proxy app:80\n}", []string{authFirst}},
		"respond before the portal, by order": {"order sso_portal last", "login.example {\nsso_portal\nhandle {\nrespond ok\n}\n}", []string{"before sso_portal"}},
		"another handler, twice":              {"order sso_gate last\norder test_cache before handle", "game.example {\ntest_cache\nGATE respond /x ok\nGATE\n}", []string{unknownFirst}},
		"in a handle with a path":             {"", "game.example {\nhandle /a/* {\nGATE\n}\n}", []string{unseen}},
		"in handle_path":                      {"", "game.example {\nhandle_path /a/* {\nGATE\n}\n}", []string{unseen}},
		"in route with a matcher":             {"", "game.example {\nroute /a/* {\nGATE\n}\n}", []string{unseen}},
		"in route with a path, of every host": {"", ":8080 {\nroute /a/* {\nGATE\n}\n}", []string{unseen}},
		"in handle in handle":                 {"", "game.example {\nhandle /a/* {\nhandle /a/b/* {\nGATE\n}\n}\n}", []string{unseen}},
		"in a handle beside another":          {"", "game.example {\nhandle /public/* {\nreverse_proxy a:80\n}\nhandle {\nGATE reverse_proxy app:80\n}\n}", []string{gatePassed}},
		"in a handle beside a file server":    {"", "game.example {\n@app path /oauth2/* /app/*\nhandle @app {\nGATE reverse_proxy app:80\n}\nhandle {\nfile_server\n}\n}", []string{gatePassed}},
		"in both orders":                      {"", "game.example {\nhandle /a/* {\nGATE reverse_proxy app:80\n}\nreverse_proxy app:80\n}", []string{gatePassed, unseen}},
		"in invoke, beside a proxy":           {"", "&(app) {\nroute {\nGATE reverse_proxy app:80\n}\n}\n:8080 {\nhandle /b/* {\nreverse_proxy b:80\n}\nhandle {\ninvoke app\n}\n}", []string{gatePassed}},
		"after a proxy in route":              {"", "game.example {\nroute {\nreverse_proxy /a/* a:80\nGATE reverse_proxy app:80\n}\n}", []string{gatePassed}},
		"in handle_response":                  {"", "game.example {\nreverse_proxy auth:1 {\nhandle_response {\nGATE reverse_proxy app:80\n}\n}\n}", []string{gatePassed, unseen}},
		"another host of a wildcard":          {"", "*.example {\n@game host game.example\nhandle @game {\nhandle /a* {\nreverse_proxy a:80\n}\nhandle {\nGATE\n}\n}\nhandle {\nabort\n}\n}", []string{gatePassed}},
		"errors lead elsewhere":               {"", "game.example {\nGATE reverse_proxy app:80\nhandle_errors {\nreverse_proxy errors:80\n}\n}", []string{errorBackend}},
		"errors lead elsewhere, twice":        {"", "&(e) {\nreverse_proxy errors:80\n}\ngame.example {\nGATE reverse_proxy app:80\nhandle_errors 404 {\ninvoke e\n}\nhandle_errors {\ninvoke e\n}\n}", []string{errorBackend}},
		"errors serve any file":               {"", "game.example {\nroot * /srv\nGATE file_server\nhandle_errors {\nroot * /srv\ntry_files {path} /404.html\nfile_server\n}\n}", []string{errorFiles}},
		"errors of a status have a page":      {"", "game.example {\nroot * /srv\nGATE file_server\nhandle_errors {\n@404 expression {err.status_code} == 404\nrewrite @404 /404.html\nfile_server\n}\n}", []string{errorFiles}},
		"errors lead users on":                {"", "game.example {\nGATE handle /admin* {\nsso_gate {\nclient 1\nrequire group admins\n}\nreverse_proxy admin:80\n}\nhandle_errors {\nGATE reverse_proxy admin:80\n}\n}", []string{errorUsers}},
		"a gate for errors alone":             {"", "game.example {\nrespond ok\nhandle_errors {\nGATE reverse_proxy app:80\n}\n}", []string{unseen}},
		"a site with a path":                  {"", "game.example/a* {\nGATE reverse_proxy app:80\n}", []string{unseen}},
		"below a path":                        {"", "game.example {\nsso_gate /admin/* {\nclient 1\n}\nrespond ok\n}", []string{leavesOpen}},
		"below a path, for some":              {"", "game.example {\nGATE sso_gate /admin/* {\nclient 1\nrequire group admins\n}\nrespond ok\n}", []string{leavesOpen}},
		"below a path, for a method":          {"", "game.example {\n@a path /admin/*\nsso_gate @a {\nclient 1\n}\n@b {\nmethod PUT\npath /admin\n}\nsso_gate @b {\nclient 1\n}\nrespond ok\n}", []string{leavesOpen}},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := said(t, adaptSites(t, c.options, c.sites))
			if err != nil {
				t.Fatal(err)
			}
			heard(t, warnings, c.want...)
		})
	}
}

func TestAPathBelowThatAnotherGateCoversIsSilent(t *testing.T) {
	for name, sites := range map[string]string{
		"the gate itself":          "@a path /admin /admin/*\nsso_gate @a {\nclient 1\n}",
		"in another set":           "@a {\npath /admin/*\nmethod GET\n}\n@b {\npath /admin\nmethod GET\n}\nsso_gate @a {\nclient 1\n}\nsso_gate @b {\nclient 1\n}",
		"another gate for all":     "GATE sso_gate /admin/* {\nclient 1\n}",
		"a stricter one":           "sso_gate /admin/* {\nclient 1\nrequire group admins staff\n}\nsso_gate /adm* {\nclient 1\nrequire group admins\n}",
		"another gate for the one": "sso_gate /admin/* {\nclient 1\n}\nsso_gate /adm* {\nclient 1\n}",
		"everything":               "sso_gate /* {\nclient 1\n}",
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := said(t, adaptSites(t, "", "game.example {\n"+sites+"\nrespond ok\n}"))
			if err != nil {
				t.Fatal(err)
			}
			heard(t, warnings)
		})
	}
}

// Caddy's handlers are known, so that what is right is silent after an update.
func TestTheHandlersOfCaddyAreKnown(t *testing.T) {
	for _, m := range caddy.GetModules("http.handlers") {
		if name := m.ID.Name(); !routecheck.KnowsHandler(name) && !strings.HasPrefix(name, "test_") {
			t.Errorf("is %s a handler that passes, answers or proxies?", name)
		}
	}
}

// A subroute with error routes of its own may go on past a gate inside it.
func TestClass32AnErrorBeforeAGateMayLeadPastIt(t *testing.T) {
	config := string(adaptSites(t, "", "game.example {\nroute {\nGATE\n}\nreverse_proxy app:80\n}"))
	old := `{"handler":"subroute","routes":[{"handle":[{"client":"1","handler":"sso_gate"}]}]`
	if strings.Count(config, old) != 1 {
		t.Fatal(config)
	}
	warnings, err := said(t, []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	heard(t, warnings)
	config = strings.Replace(config, old, old+`,"errors":{"routes":[{"handle":[{"handler":"vars"}]}]}`, 1)
	if warnings, err = said(t, []byte(config)); err != nil {
		t.Fatal(err)
	}
	heard(t, warnings, gatePassed)
}

// A handler of another module may have routes in it, and a named route may lead
// back to itself.
func TestClass32RoutesInsideOtherHandlersAreWalkedThrough(t *testing.T) {
	const proxy = `{"handler":"reverse_proxy","upstreams":[{"dial":"app:80"}]}`
	for name, handler := range map[string]string{
		"routes":         `{"handler":"test_nest","inner":{"routes":[{"handle":[` + proxy + `]}]}}`,
		"handlers":       `{"handler":"test_nest","handle":[` + proxy + `]}`,
		"named handlers": `{"handler":"test_nest","named":{"x":[{"handle":[` + proxy + `]}]}}`,
		"a named route":  `{"handler":"invoke","name":"a"}`,
		"none such":      `{"handler":"invoke","name":"b"}`,
		"in error route": `{"handler":"subroute","routes":[],"errors":{"routes":[{"handle":[` + proxy + `]}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			config := object(t, adaptSites(t, "", "game.example {\nGATE reverse_proxy app:80\n}"))
			server := config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)["srv0"].(map[string]any)
			server["named_routes"] = object(t, []byte(`{"a":{"handle":[{"handler":"invoke","name":"a"},`+proxy+`]}}`))
			site := server["routes"].([]any)[0].(map[string]any)["handle"].([]any)[0].(map[string]any)
			site["routes"] = append([]any{map[string]any{"handle": []any{object(t, []byte(handler))}}}, site["routes"].([]any)...)
			raw, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := said(t, raw); (err == nil) != (name == "none such") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Written in JSON, a gate can stand in a route with a matcher, which no
// Caddyfile makes.
func TestAGateInARouteWithAMatcherIsWarnedAbout(t *testing.T) {
	for match, want := range map[string][]string{
		`{"host": ["game.example"]}`:                      nil,
		`{"path": ["/a/*"]}`:                              {unseen},
		`{"host": ["game.example"], "path": ["/a/*"]}`:    {unseen},
		`{"host": ["game.example"]}, {"method": ["PUT"]}`: nil,
	} {
		t.Run(match, func(t *testing.T) {
			config := string(adaptSites(t, "", ":8080 {\nrequest_header X-A b\nGATE\n}"))
			with := strings.Replace(config, `{"handle":[{"client":"1"`, `{"match":[`+match+`],"handle":[{"client":"1"`, 1)
			if with == config {
				t.Fatalf("there is no gate in %s", config)
			}
			warnings, err := said(t, []byte(with))
			if err != nil {
				t.Fatal(err)
			}
			heard(t, warnings, want...)
		})
	}
}
