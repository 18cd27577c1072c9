package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// warned provisions a Caddyfile and returns for which gates it warns.
func warned(t *testing.T, config []byte) int {
	t.Helper()
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&c)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.WarnLevel)
	placementOf(webApp(ctx)).warnOfHidden(zap.New(core))
	for _, e := range logs.All() {
		if !strings.Contains(e.Message, "put it at the site's own level, with a matcher of its own") || e.ContextMap()["client"] != "1" {
			t.Errorf("it warns of something else: %v", e)
		}
	}
	return logs.Len()
}

const aGate = "sso_gate {\nclient 1\n}\n"

func TestAGateThatCannotSeeItsSiteIsWarnedAbout(t *testing.T) {
	for _, c := range []struct {
		name, sites string
		want        int
	}{
		{"a site with a host", "game.example {\n" + aGate + "respond ok\n}", 0},
		{"a site with several hosts", "game.example, http://b.example:8080 {\n" + aGate + "respond ok\n}", 0},
		{"a site for every host of a port", ":8080 {\n" + aGate + "respond ok\n}", 0},
		{"a site for every host, beside one with a host", ":8080 {\n" + aGate + "}\nhttp://b.example:8080 {\n" + aGate + "}", 0},
		{"two sites on one server", "http://a.example {\n" + aGate + "}\nhttp://b.example {\n" + aGate + "}", 0},
		{"several gates with matchers", "game.example {\nsso_gate /a/* {\nclient 1\n}\nsso_gate /b/* {\nclient 1\n}\nrespond ok\n}", 0},
		{"a gate of a snippet", "(gated) {\n" + aGate + "}\ngame.example {\nimport gated\n}", 0},
		{"a site with a matcher of hosts in it", ":8080 {\n@b host b.example\nrespond @b no\n" + aGate + "}", 0},

		{"in handle", "game.example {\nhandle {\n" + aGate + "}\n}", 1},
		{"in handle with a path", "game.example {\nhandle /a/* {\n" + aGate + "}\n}", 1},
		{"in handle_path", "game.example {\nhandle_path /a/* {\n" + aGate + "}\n}", 1},
		{"in route", "game.example {\nroute {\n" + aGate + "}\n}", 1},
		{"in route with a matcher", "game.example {\nroute /a/* {\n" + aGate + "}\n}", 1},
		{"in handle of a site for every host", ":8080 {\nhandle {\n" + aGate + "}\n}", 1},
		{"in route with a path, of a site for every host", ":8080 {\nroute /a/* {\n" + aGate + "}\n}", 1},
		{"in handle in handle", "game.example {\nhandle /a/* {\nhandle /a/b/* {\n" + aGate + "}\n}\n}", 1},
		{"one of two", "game.example {\n" + aGate + "handle /a/* {\n" + aGate + "}\n}", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			options, _, _ := strings.Cut(spoil(t, "", ""), "https://login.example {")
			config, err := adapt(options + c.sites + "\n")
			if err != nil {
				t.Fatal(err)
			}
			if got := warned(t, config); got != c.want {
				t.Errorf("%d warnings, want %d", got, c.want)
			}
		})
	}
}

// Written in JSON, a gate can stand in a route with a matcher, which no
// Caddyfile makes.
func TestAGateInARouteWithAMatcherIsWarnedAbout(t *testing.T) {
	for match, want := range map[string]int{
		`{"host": ["game.example"]}`:                      0,
		`{"path": ["/a/*"]}`:                              1,
		`{"host": ["game.example"], "path": ["/a/*"]}`:    1,
		`{"host": ["game.example"]}, {"method": ["PUT"]}`: 1,
	} {
		t.Run(match, func(t *testing.T) {
			options, _, _ := strings.Cut(spoil(t, "", ""), "https://login.example {")
			config, err := adapt(options + ":8080 {\nrespond ok\n" + aGate + "}\n")
			if err != nil {
				t.Fatal(err)
			}
			with := strings.Replace(string(config), `{"handle":[{"client":"1"`, `{"match":[`+match+`],"handle":[{"client":"1"`, 1)
			if with == string(config) {
				t.Fatalf("there is no gate in %s", config)
			}
			if got := warned(t, []byte(with)); got != want {
				t.Errorf("%d warnings, want %d", got, want)
			}
		})
	}
}
