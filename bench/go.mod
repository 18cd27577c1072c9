module github.com/caddy-sso/caddy-sso/bench

go 1.26.0

require (
	github.com/caddy-sso/caddy-sso v0.0.0
	golang.org/x/sys v0.50.0
)

require (
	github.com/hashicorp/golang-lru/v2 v2.0.7 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
)

replace github.com/caddy-sso/caddy-sso => ../
