package caddymodule

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
)

func TestAnUnknownCommandIsAnErrorThatSuggestsOne(t *testing.T) {
	for _, c := range []struct {
		line, want string
	}{
		{"foo", `unknown command "foo" for "caddy sso"; did you mean check, or keys, or license, or session, or storage, or user?`},
		{"sesion list", `unknown command "sesion" for "caddy sso"; did you mean session?`},
		{"session lst", `unknown command "lst" for "caddy sso session"; did you mean list?`},
		{"session x y z", `unknown command "x" for "caddy sso session"; did you mean end, or list?`},
		{"user dsable bob", `unknown command "dsable" for "caddy sso user"; did you mean disable, or enable?`},
		{"user dsable bob --file users.jsonl", `unknown command "dsable" for "caddy sso user"; did you mean disable, or enable?`},
		{"user --address localhost:1 ned bob", `unknown flag: --address`},
		{"license y", `unknown command "y" for "caddy sso license"; did you mean customer, or sign, or url?`},
		{"license ulr --product demo", `unknown command "ulr" for "caddy sso license"; did you mean url?`},
		{"help usr", `unknown command "usr" for "caddy sso"; did you mean user?`},
		{"user help ned", `unknown command "ned" for "caddy sso user"; did you mean end, or add?`},
		{"session list all", `unknown command "all" for "caddy sso session list"`},
		{"storage stats", `unknown command "stats" for "caddy sso storage"; did you mean status?`},
		{"user list --fil x", `unknown flag: --fil`},
	} {
		if out, err := sso(t, "", strings.Fields(c.line)...); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("caddy sso %s: %v\n%s", c.line, err, out)
		}
	}
	for _, line := range []string{"", "help", "--help", "user", "user help", "user --help", "session end --help"} {
		if out := mustSSO(t, "", strings.Fields(line)...); !strings.Contains(out, "Usage:") {
			t.Errorf("caddy sso %s prints\n%s", line, out)
		}
	}
	for _, line := range []string{"help user end", "user help end"} {
		if out := mustSSO(t, "", strings.Fields(line)...); !strings.Contains(out, "caddy sso user end <name>") {
			t.Errorf("caddy sso %s prints\n%s", line, out)
		}
	}
}

// An adminServer is an admin API that answers any request, and counts those
// that it got.
type adminServer struct {
	*httptest.Server
	asked atomic.Int64
}

// newAdminServer listens at an address, or at any.
func newAdminServer(t *testing.T, network, address string) *adminServer {
	t.Helper()
	s := new(adminServer)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.asked.Add(1)
		json.NewEncoder(w).Encode(adminapi.Ended{Ended: 7}) //nolint:errcheck,errchkjson // numbers; the test sees
	}))
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *adminServer) address() string { return s.Listener.Addr().String() }

// ssoOption is a Caddyfile of a portal with an admin line.
func ssoOption(admin string) string {
	return "{\n\t" + admin + "\n\tsso {\n\t\tissuer http://localhost:8080\n\t\tsignin local {\n\t\t\tuser demo " + demoHash + "\n\t\t}\n\t}\n}\n"
}

func TestClass40ACommandAsksTheServerThatIsMeantOrNone(t *testing.T) {
	wrong := newAdminServer(t, "tcp", "127.0.0.1:0")
	t.Setenv("CADDY_ADMIN", wrong.address()) // Caddy's default address, for the commands
	right := newAdminServer(t, "tcp", "127.0.0.1:0")
	dir := t.TempDir()
	socket := newAdminServer(t, "unix", filepath.Join(dir, "a.sock"))
	t.Setenv("SSO_TEST_ADMIN", right.address())
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	off := file("off.caddyfile", ssoOption("admin off"))
	sso40 := func(args ...string) (string, error) {
		return sso(t, "", append([]string{"user", "end", "bob"}, args...)...)
	}

	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"admin off":               {[]string{"--config", off}, "admin is off in " + off},
		"admin off in JSON":       {[]string{"--config", file("off.json", `{"admin":{"disabled":true},"apps":{"sso":{"issuer":"http://localhost:8080"}}}`)}, "admin is off in "},
		"no sso":                  {[]string{"--config", file("no.caddyfile", "{\n\tadmin localhost:2019\n}\n")}, " has no sso"},
		"a variable that is not":  {[]string{"--config", file("env.caddyfile", ssoOption("admin {env.SSO_TEST_UNSET}"))}, "SSO_TEST_UNSET"},
		"what does not parse":     {[]string{"--config", file("bad.caddyfile", "{\n\tadmin off\n\tsso {\n")}, "no server was asked"},
		"what is no JSON":         {[]string{"--config", file("off.conf", ssoOption("admin off"))}, "is not valid JSON"},
		"an empty file":           {[]string{"--config", file("empty.json", "")}, "no server was asked"},
		"an adapter that is none": {[]string{"--config", off, "--adapter", "toml"}, "unrecognized config adapter"},
		"an adapter alone":        {[]string{"--adapter", "caddyfile"}, "name it with --config"},
		"a file that is not":      {[]string{"--config", filepath.Join(dir, "none")}, "no such file"},
		"an empty config":         {[]string{"--config", ""}, "--config is empty"},
		"an empty address":        {[]string{"--address", "", "--config", off}, "--address is empty"},
	} {
		if out, err := sso40(c.args...); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if n := wrong.asked.Load() + right.asked.Load() + socket.asked.Load(); n > 0 {
		t.Errorf("servers were asked %d times", n)
	}

	for name, c := range map[string]struct {
		args []string
		at   *adminServer
	}{
		"an address":                {[]string{"--address", right.address()}, right},
		"an address before a file":  {[]string{"--address", right.address(), "--config", off}, right},
		"admin at another address":  {[]string{"--config", file("at.caddyfile", ssoOption("admin "+right.address()))}, right},
		"a variable":                {[]string{"--config", file("var.caddyfile", ssoOption("admin {$SSO_TEST_ADMIN}"))}, right},
		"a variable of the running": {[]string{"--config", file("run.caddyfile", ssoOption("admin {env.SSO_TEST_ADMIN}"))}, right},
		"an adapter":                {[]string{"--adapter", "caddyfile", "--config", file("any", ssoOption("admin "+right.address()))}, right},
		"a socket":                  {[]string{"--config", file("unix.caddyfile", ssoOption("admin unix/"+socket.address()+"|0600"))}, socket},
		"the default address":       {nil, wrong},
		"a file that says nothing":  {[]string{"--config", file("default.caddyfile", ssoOption(""))}, wrong},
	} {
		before := c.at.asked.Load()
		if out, err := sso40(c.args...); err != nil || !strings.Contains(out, "7 ended") || c.at.asked.Load() != before+1 {
			t.Errorf("%s: %v; it was asked %d times\n%s", name, err, c.at.asked.Load()-before, out)
		}
	}
}

func TestClass40AServerOfAnotherConfigurationRefuses(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	w.visitor().signIn("http://" + w.site + "/")
	other, own := filepath.Join(w.dir, "other.caddyfile"), filepath.Join(w.dir, "own.caddyfile")
	for path, text := range map[string]string{
		other: ssoOption("admin " + w.admin),
		own:   strings.Replace(ssoOption("admin "+w.admin), "http://localhost:8080", "http://"+w.portal, 1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"user end demo", "session list", "session end 0123456789abcdef", "license url"} {
		out, err := sso(t, "", append(strings.Fields(line), "--config", other)...)
		if err == nil || !strings.Contains(out, "this server has the issuer http://"+w.portal+", not http://localhost:8080") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	if n := len(w.sessions()); n != 1 {
		t.Fatalf("%d sessions are left, want 1", n)
	}
	if out := mustSSO(t, "", "user", "end", "demo", "--config", own); !strings.Contains(out, "1 ended") {
		t.Errorf("it prints\n%s", out)
	}
}
