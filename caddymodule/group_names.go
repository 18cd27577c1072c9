package caddymodule

import (
	"encoding/json"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// groupsState is the key of the groups that were named so far, while a Caddyfile is
// read.
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
