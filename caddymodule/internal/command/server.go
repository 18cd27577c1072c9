package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
)

// A commandServer is the running server to which a command sends its request.
type commandServer struct {
	address string // of its admin API
	issuer  string // "": any
}

// serverOfFlags finds the server in the flags of a command. With an address, no
// configuration is read. The admin API of a configuration has to be on.
func serverOfFlags(fl caddycmd.Flags) (commandServer, error) {
	address, config, adapter := fl.String("address"), fl.String("config"), fl.String("adapter")
	for _, name := range []string{"address", "config"} {
		// Mostly a variable of a script that is not set.
		if fl.Changed(name) && fl.String(name) == "" {
			return commandServer{}, fmt.Errorf("--%s is empty; give its value, or leave it out for the server at %s", name, caddy.DefaultAdminListen)
		}
	}
	switch {
	case address != "":
		return commandServer{address: address}, nil
	case config != "":
		return serverOfConfig(config, adapter)
	case adapter != "":
		return commandServer{}, errors.New("--adapter is for a configuration file; name it with --config")
	}
	return commandServer{address: caddy.DefaultAdminListen}, nil
}

// serverOfConfig finds the server that runs the configuration of a file.
func serverOfConfig(file, adapter string) (commandServer, error) {
	raw, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return commandServer{}, err
	}
	var config struct {
		Admin struct {
			Disabled bool   `json:"disabled"`
			Listen   string `json:"listen"`
		} `json:"admin"`
		Apps struct {
			SSO *struct {
				Issuer string `json:"issuer"`
			} `json:"sso"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return commandServer{}, fmt.Errorf("reading the configuration %s: %w", file, err)
	}
	switch {
	case config.Admin.Disabled:
		return commandServer{}, fmt.Errorf("admin is off in %s, so its server cannot be asked; remove \"admin off\", or name another server with --address", file)
	case config.Apps.SSO == nil:
		return commandServer{}, fmt.Errorf("%s has no sso; name the configuration of the portal", file)
	}
	// As Caddy reads it when it begins to listen.
	address, err := secrets.Replace(config.Admin.Listen)
	if err != nil {
		return commandServer{}, fmt.Errorf("the admin address %q of %s: %w; set the variable as the server has it, or give --address", config.Admin.Listen, file, err)
	}
	address = cmp.Or(address, caddy.DefaultAdminListen)
	return commandServer{address, config.Apps.SSO.Issuer}, nil
}
