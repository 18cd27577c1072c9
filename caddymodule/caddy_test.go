package caddymodule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
)

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(runCommand(os.Args[1:]))
	}
	os.Exit(run(m))
}

// run keeps what Caddy writes out of the developer's own folders.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "caddymodule")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		if err := os.Setenv(name, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	caddy.DefaultStorage.Path = caddy.AppDataDir()
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	return m.Run()
}

// demoHash is of the password "demo", at the least cost.
const demoHash = "$2a$04$tNK7Vrf/o2nWI84RKhns8.o/g8e1YQp0JT3kozd3LHKEzqbSyTBmm"

// adapt turns a Caddyfile into JSON.
func adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// validate does what `caddy validate` does.
func validate(config []byte) error {
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		return err
	}
	return caddy.Validate(&c)
}

// A world is the addresses of one test: a portal, a site with a gate, and an
// admin API.
type world struct {
	t                   *testing.T
	dir                 string
	portal, site, admin string // host:port
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	for _, addr := range []*string{&w.portal, &w.site, &w.admin} {
		*addr = freeAddr(t)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// given are the ports that tests were given. Caddy shares a port with a server
// that is about to stop, so one that was free a moment ago may answer for both.
var given sync.Map

// freeAddr is an address of this machine that nobody listens on, and that no
// other test is given. It is below the ports that connections go out from.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(22_000)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if _, taken := given.LoadOrStore(port, true); !taken {
			return fmt.Sprintf("localhost:%d", port)
		}
	}
	t.Fatal("no free port")
	return ""
}

// A setup is what of a world's Caddyfile a test chooses.
type setup struct {
	storage string // default: memory
	global  string // more options of sso
	local   string // more options of signin local
	gate    string // more options of the gate
	handler string // what stands behind it; default: the identity
	portal  string // what stands behind the portal
	sites   string // more sites
	options string // more global options
}

func (w *world) caddyfile(s setup) string {
	s.storage = cmp.Or(s.storage, "storage memory")
	s.handler = cmp.Or(s.handler, `respond "hello {http.request.header.X-SSO-User}"`)
	return strings.NewReplacer(
		"PORTAL", w.portal, "SITE", w.site, "ADMIN", w.admin, "DIR", w.dir, "HASH", demoHash,
	).Replace(`{
	admin ADMIN
	auto_https off
	persist_config off
	storage file_system DIR/caddy
	` + s.options + `
	sso {
		issuer http://PORTAL
		` + s.storage + `
		signin local {
			user demo HASH {
				email demo@example.com
				group players
			}
			` + s.local + `
		}
		client 1 {
			name Game
			public
			redirect_uri http://SITE/oauth2/callback
			fail_auth_url http://SITE/signed-out
			token_alg ES256
		}
		` + s.global + `
	}
}
http://PORTAL {
	sso_portal
	` + s.portal + `
}
http://SITE {
	sso_gate {
		client 1
		` + s.gate + `
	}
	` + s.handler + `
}
` + s.sites)
}

// load makes Caddy run a configuration, in this process.
func (w *world) load(s setup) error {
	w.t.Helper()
	config, err := adapt(w.caddyfile(s))
	if err != nil {
		w.t.Fatal(err)
	}
	return caddy.Load(config, false)
}

// loadJSON makes Caddy run a configuration that no Caddyfile makes.
func loadJSON(config map[string]any) error {
	raw, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return caddy.Load(raw, false)
}

// mustLoad loads a configuration, and waits until that of before listens no more,
// for which Caddy itself does not.
func (w *world) mustLoad(s setup) {
	w.t.Helper()
	if err := w.load(s); err != nil {
		w.t.Fatal(err)
	}
	for _, address := range []string{w.site, w.portal} {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			w.t.Fatal(err)
		}
		eventually(w.t, "the servers of before are closed", func() bool { return caddy.ListenerUsage("tcp", ":"+port) < 2 })
	}
}

// browser is a client that keeps cookies and says it wants pages. It keeps no
// connection, since a reload closes idle ones and Go does not repeat a POST.
func (w *world) browser() *http.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: pages{&http.Transport{DisableKeepAlives: true}}}
}

type pages struct{ http.RoundTripper }

func (p pages) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "text/html")
	}
	for try := 0; ; try++ {
		resp, err := p.RoundTripper.RoundTrip(r)
		if err == nil || try == 5 || r.Context().Err() != nil {
			return resp, err
		}
		// It waited in the queue of a listener that a reload closes: nobody
		// has read it.
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// running is the app of the active configuration.
func (w *world) running() *App {
	w.t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("sso")
	if err != nil {
		w.t.Fatal(err)
	}
	return app.(*App)
}

// references is how many configurations and requests hold a store.
func references(identity string) int {
	return appruntime.References(identity)
}

// object decodes a JSON object.
func object(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}
