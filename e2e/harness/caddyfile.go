package harness

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/template"

	"golang.org/x/crypto/bcrypt"
)

// A Caddyfile is the standard configuration: a portal, a gate before a backend,
// a public client 1 that is also the gate's, and a confidential client 2. Tests
// change single fields of what [Standard] returns; [Caddyfile.String] renders
// it.
type Caddyfile struct {
	Admin string // host:port of the admin API

	// Global are further global options.
	Global string

	// Portal and Gate are the public origins, which clients use and redirect
	// URIs name; PortalSite and GateSite are the site addresses in the
	// Caddyfile, where they differ.
	Portal, Gate         string
	PortalSite, GateSite string

	// Storage is what follows the word storage, with its block.
	Storage string

	// Options are further lines of the sso option.
	Options string

	// Attempts are the lines of that block.
	Attempts string

	Users   []User
	Clients []Application

	// NoLocal leaves out the sign-in method of the local users.
	NoLocal bool

	// GateOptions are further lines of sso_gate, ProxyOptions of reverse_proxy.
	GateOptions, ProxyOptions string

	// GateRoutes and PortalRoutes are further directives of the two sites.
	GateRoutes, PortalRoutes string

	// Backend is the upstream's host:port.
	Backend string

	// Sites are further sites.
	Sites string
}

// A User is someone who may sign in.
type User struct {
	Name, Password, Email string
	Groups                []string
}

// An Application is a registered client: Lines are those of its block.
type Application struct {
	ID    string
	Lines string
}

// The users and the secret of the standard configuration.
var (
	Demo  = User{Name: "demo", Password: "correct horse", Email: "demo@example.com", Groups: []string{"players"}}
	Admin = User{Name: "root", Password: "battery staple", Email: "root@example.com", Groups: []string{"players", "staff"}}
)

// Secret is client 2's.
const Secret = "a-secret-of-client-two-0123456789"

// Standard is the standard configuration on free ports, on storage memory.
func Standard(tb testing.TB, backend string) *Caddyfile {
	tb.Helper()
	c := &Caddyfile{
		Admin:    fmt.Sprintf("127.0.0.1:%d", Port(tb)),
		Global:   "auto_https off",
		Portal:   fmt.Sprintf("http://localhost:%d", Port(tb)),
		Gate:     fmt.Sprintf("http://localhost:%d", Port(tb)),
		Storage:  "memory",
		Attempts: "per_account 1000\nper_address 10000\nevery 1m",
		Users:    []User{Demo, Admin},
		Backend:  backend,
	}
	c.Clients = []Application{c.GateClient(), ConfidentialClient()}
	return c
}

// GateClient is client 1: public, for the gate and for a game's own listener.
func (c *Caddyfile) GateClient() Application {
	return Application{ID: "1", Lines: `name "Demo game"
public
redirect_uri ` + c.Gate + `/oauth2/callback http://127.0.0.1/callback
fail_auth_url ` + c.Gate + `/signed-out
audience game shop
scope email offline`}
}

// ConfidentialClient is client 2: a server with a secret.
func ConfidentialClient() Application {
	return Application{ID: "2", Lines: `name "Demo server"
secret ` + Secret + `
redirect_uri http://127.0.0.1/callback
audience game
scope email
token_alg ES256`}
}

// PublicClient is a game that wants its tokens signed with alg.
func PublicClient(id, alg string) Application {
	return Application{ID: id, Lines: `name "Game ` + id + `"
public
redirect_uri http://127.0.0.1/callback
audience game shop
scope email offline
token_alg ` + alg}
}

// String renders the Caddyfile.
func (c *Caddyfile) String() string {
	var b strings.Builder
	if err := caddyfileTemplate.Execute(&b, c); err != nil {
		panic(err) // the template and the type are both ours
	}
	return b.String()
}

var caddyfileTemplate = template.Must(template.New("").Funcs(template.FuncMap{
	"hash": Hash, "or": func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	},
	"join": func(s []string) string { return strings.Join(s, " ") },
}).Parse(`{
	admin {{.Admin}}
	grace_period 3s
	{{.Global}}
	sso {
		issuer {{.Portal}}
		storage {{.Storage}}
		{{.Options}}
		{{- if not .NoLocal}}
		signin local {
			attempts {
				{{.Attempts}}
			}
			{{- range .Users}}
			user {{.Name}} {{hash .Password}} {
				{{with .Email}}email {{.}}{{end}}
				{{with .Groups}}group {{join .}}{{end}}
			}
			{{- end}}
		}
		{{- end}}
		{{- range .Clients}}
		client {{.ID}} {
			{{.Lines}}
		}
		{{- end}}
	}
}

(filtered_log) {
	log {
		format filter {
			request>uri query {
				replace code REDACTED
				replace state REDACTED
				replace resume REDACTED
				replace w REDACTED
				replace handle REDACTED
				replace id_token_hint REDACTED
				replace ticket REDACTED
			}
			request>headers>Referer delete
			resp_headers>Location delete
		}
	}
}

{{or .PortalSite .Portal}} {
	import filtered_log
	sso_portal
	{{.PortalRoutes}}
}

{{or .GateSite .Gate}} {
	import filtered_log
	sso_gate {
		client 1
		{{.GateOptions}}
	}
	{{.GateRoutes}}
	reverse_proxy {{.Backend}} {
		{{.ProxyOptions}}
	}
}

{{.Sites}}
`))

var hashes sync.Map // of passwords, since one Caddyfile is rendered many times

// Hash is one that is cheap to check: the cost of a password is not what these
// tests are about.
func Hash(password string) (string, error) {
	if made, ok := hashes.Load(password); ok {
		return made.(string), nil
	}
	made, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	first, _ := hashes.LoadOrStore(password, string(made))
	return first.(string), nil
}
