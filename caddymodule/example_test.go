package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-sso/caddy-sso/caddymodule"
)

// The option sso of a Caddyfile becomes the app of that name in Caddy's JSON
// configuration: an App.
func Example() {
	const caddyfile = `{
		sso {
			issuer https://login.example.com
			signin local {
				user ada $2a$12$TSbZEQVdnxE9s7Gvt/2mZ.eH/EUEGQNqEm2ybdH1KxpM4YIr9/3nq
			}
			client 1 {
				public
				redirect_uri https://play.example.com/oauth2/callback
			}
		}
	}`
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var config struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(adapted, &config); err != nil {
		fmt.Println(err)
		return
	}
	var app bytes.Buffer
	if err := json.Indent(&app, config.Apps["sso"], "", "  "); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(app.String())
	// Output:
	// {
	//   "issuer": "https://login.example.com",
	//   "signin": [
	//     {
	//       "method": "local",
	//       "users": [
	//         {
	//           "hash": "$2a$12$TSbZEQVdnxE9s7Gvt/2mZ.eH/EUEGQNqEm2ybdH1KxpM4YIr9/3nq",
	//           "name": "ada"
	//         }
	//       ]
	//     }
	//   ],
	//   "clients": [
	//     {
	//       "id": "1",
	//       "public": true,
	//       "redirect_uris": [
	//         "https://play.example.com/oauth2/callback"
	//       ]
	//     }
	//   ]
	// }
}
