package sso_test

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-sso/caddy-sso"
)

// A Go program with Caddy in it checks a configuration, as `caddy validate` does.
// caddy.Load would run it.
func Example() {
	const caddyfile = `{
		admin off
		persist_config off
		auto_https off
		sso {
			issuer https://login.example.com
			storage memory
			signin local {
				user ada $2a$12$TSbZEQVdnxE9s7Gvt/2mZ.eH/EUEGQNqEm2ybdH1KxpM4YIr9/3nq
			}
			client 1 {
				public
				redirect_uri https://play.example.com/oauth2/callback
			}
		}
	}
	https://login.example.com {
		sso_portal
	}
	https://play.example.com {
		sso_gate {
			client 1
		}
		reverse_proxy localhost:8080
	}`
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(caddy.Validate(&c))
	// Output: <nil>
}
