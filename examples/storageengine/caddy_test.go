package ssostorage

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-sso/caddy-sso"
)

// demoHash is of the password "demo", at the least cost.
const demoHash = "$2a$04$tNK7Vrf/o2nWI84RKhns8.o/g8e1YQp0JT3kozd3LHKEzqbSyTBmm"

const config = `{
	admin off
	auto_https off
	persist_config off
	storage file_system DIR
	sso {
		issuer http://PORTAL
		storage map {
			capacity 50000
		}
		signin local {
			user demo HASH
		}
		client 1 {
			public
			redirect_uri http://localhost/callback
			scope offline
		}
	}
}

http://PORTAL {
	sso_portal
}
`

// start makes Caddy run the configuration, in this process, and returns the address of the
// portal.
func start(t *testing.T) (portal string) {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	portal = "localhost:" + port
	text := strings.NewReplacer("PORTAL", portal, "HASH", demoHash, "DIR", t.TempDir()).Replace(config)
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if err := caddy.Load(adapted, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return portal
}

func post(t *testing.T, target, contentType, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// A grant is stored, and found again by its refresh token.
func TestCaddyKeepsGrantsInTheStore(t *testing.T) {
	portal := start(t)
	status, body := post(t, "http://"+portal+"/api/oauth2/login/token?client_id=1&scope=offline", "application/json",
		`{"username":"demo","password":"demo"}`)
	var tokens struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || status != http.StatusOK || tokens.Refresh == "" {
		t.Fatalf("signing in: %d %s", status, body)
	}
	refresh := func(token string) (int, string) {
		return post(t, "http://"+portal+"/api/oauth2/token", "application/x-www-form-urlencoded",
			url.Values{"grant_type": {"refresh_token"}, "client_id": {"1"}, "refresh_token": {token}}.Encode())
	}
	if status, body := refresh(tokens.Refresh); status != http.StatusOK {
		t.Errorf("refreshing: %d %s", status, body)
	}
	if status, body := refresh("another" + tokens.Refresh); status == http.StatusOK {
		t.Errorf("refreshing with a token that is not stored: %d %s", status, body)
	}
}

func TestAWrongOptionIsAnErrorWithARemedy(t *testing.T) {
	for options, want := range map[string]string{
		"capacity none": `capacity "none" is not a positive number`,
		"size 5":        `unknown option "size"; expected capacity`,
	} {
		text := "{\nsso {\nissuer http://localhost\nstorage map {\n" + options + "\n}\nsignin local {\nuser demo " + demoHash + "\n}\n}\n}\n"
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", options, err)
		}
	}
}
