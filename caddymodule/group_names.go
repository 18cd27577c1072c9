package caddymodule

import (
	"encoding/json"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// nameGroups adds the groups that the gate asks for. With an error it returns which
// of them is at fault.
func (g *Gate) nameGroups(all *oauth.ConfiguredGroups) (which int, err error) {
	for i, name := range g.Require {
		if err := all.Add(name, "require group of the gate of client "+g.Client); err != nil {
			return i, err
		}
	}
	return 0, nil
}

// groupsState is where the groups that were named so far are kept while a Caddyfile
// is read.
const groupsState = "sso.groups"

// configuredGroups are those of the option's users, and of all gates before.
func (a *App) configuredGroups(state map[string]any) (*oauth.ConfiguredGroups, error) {
	if groups, ok := state[groupsState].(*oauth.ConfiguredGroups); ok {
		return groups, nil
	}
	groups := new(oauth.ConfiguredGroups)
	for _, raw := range a.SigninRaw {
		var method struct {
			Method string `json:"method"`
			signinmethods.Local
		}
		if err := json.Unmarshal(raw, &method); err != nil || method.Method != "local" {
			continue // of another kind
		}
		if err := method.AddGroups(groups); err != nil {
			return nil, err
		}
	}
	state[groupsState] = groups
	return groups, nil
}
