// Command caddy is Caddy with caddy-sso in it: for a first try, and for what
// the tests start. For production, build your own with xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-sso/caddy-sso"
)

func main() {
	caddycmd.Main()
}
