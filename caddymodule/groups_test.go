package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// groupsOf is a configuration with these routes, of a site for every host.
func (a *around) groupsOf(routes string) []byte {
	a.t.Helper()
	_, port, _ := strings.Cut(a.at, ":")
	config, err := adapt(a.caddyfile(a.setup("http://:" + port + " {\nhandle {\nGATE\n}\n}")))
	if err != nil {
		a.t.Fatal(err)
	}
	old := `[{"handle":[{"handler":"subroute","routes":[{"handle":[{"client":"2","handler":"sso_gate"}]}]}]}]`
	if strings.Count(string(config), old) != 1 {
		a.t.Fatalf("%s", config)
	}
	return []byte(strings.Replace(string(config), old, strings.NewReplacer(
		"GATE", `{"handler":"sso_gate","client":"2"}`,
		"PROXY", `{"handler":"reverse_proxy","upstreams":[{"dial":"`+a.backend+`"}]}`,
		"OPEN", `"match":[{"path":["/open/*"]}]`,
	).Replace(routes), 1))
}

// Caddy counts by request which groups were taken: a route that is the first of
// its group in its list is left out where one in another list was taken before.
func TestClass32AGateInAGroupIsNotTakenForOneThatIsAlwaysAsked(t *testing.T) {
	for name, c := range map[string]struct{ routes, want string }{
		"taken outside": {`[{"group":"g",OPEN,"handle":[{"handler":"vars"}]},
			{"handle":[{"handler":"subroute","routes":[{"group":"g","handle":[GATE]},{"handle":[PROXY]}]}]}]`, gatePassed},
		"taken inside": {`[{"handle":[{"handler":"subroute","routes":[{"group":"g",OPEN,"handle":[{"handler":"vars"}]}]}]},
			{"group":"g","handle":[GATE]},{"handle":[PROXY]}]`, gatePassed},
		"taken for another host": {`[{"group":"g","match":[{"host":["other.example"]}],"handle":[{"handler":"subroute","routes":[]}]},
			{"match":[{"host":["localhost"]}],"handle":[{"handler":"subroute","routes":[{"group":"g","handle":[GATE]},{"handle":[PROXY]}]}]}]`, ""},
		"taken by what ends there": {`[{"group":"g",OPEN,"handle":[{"handler":"vars"}],"terminal":true},
			{"handle":[{"handler":"subroute","routes":[{"group":"g","handle":[GATE]},{"handle":[PROXY]}]}]}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAround(t)
			config := a.groupsOf(c.routes)
			warnings, err := said(t, config)
			if err != nil {
				t.Fatal(err)
			}
			if err := loadJSON(object(t, config)); err != nil {
				t.Fatal(err)
			}
			got := a.forge(http.MethodGet, "/open/x")
			if passed := strings.HasPrefix(got.body, "/open/x told"); passed != (c.want != "") {
				t.Errorf("%s: %s", got.Status, got.body)
			}
			if c.want == "" {
				heard(t, warnings)
				return
			}
			heard(t, warnings, c.want)
		})
	}
}

// A route inside one of its own group is never taken. Caddy's adapter brings that
// about by itself, since it numbers the groups of named routes from the beginning.
func TestClass32AGateThatIsNeverAskedIsRefused(t *testing.T) {
	for name, routes := range map[string]string{
		"in handle": `[{"group":"group2","handle":[{"handler":"subroute","routes":[{"group":"group2","handle":[GATE]}]},PROXY]}]`,
		"further in": `[{"group":"group2",OPEN,"handle":[{"handler":"subroute","routes":[
			{"group":"x","handle":[{"handler":"subroute","routes":[{"group":"group2","handle":[GATE]},{"handle":[PROXY]}]}]}]}]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := said(t, newAround(t).groupsOf(routes))
			if err == nil {
				t.Fatal("taken")
			}
			for _, want := range []string{"the gate of client 2", "sees no request", `group "group2"`, "put sso_gate"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}
