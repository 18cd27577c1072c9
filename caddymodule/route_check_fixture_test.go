package caddymodule

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// said is what `caddy validate` says of a configuration: what our app warns of,
// in order, and the error. It is said whichever app Caddy provisions first, for
// which it has no order; so this asks several times.
func said(t *testing.T, config []byte) (warnings []string, err error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "said")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for i := range 6 {
		log := filepath.Join(dir, strconv.Itoa(i))
		c := object(t, config)
		c["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
			"writer":  map[string]any{"output": "file", "filename": log},
			"encoder": map[string]any{"format": "json"},
			"include": []string{"sso"},
		}}}
		raw, marshalErr := json.Marshal(c)
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		now := validate(raw)
		lines := warningsIn(t, log)
		if i > 0 && ((now == nil) != (err == nil) || now == nil && !slices.Equal(lines, warnings)) {
			t.Fatalf("it says one thing now, and another then:\n%q, %v\n%q, %v", lines, now, warnings, err)
		}
		warnings, err = lines, now
	}
	return warnings, err
}

// cache is a handler that nobody knows.
type cache struct{}

func init() {
	caddy.RegisterModule(cache{})
	caddy.RegisterModule(nest{})
	httpcaddyfile.RegisterHandlerDirective("test_cache", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return cache{}, nil
	})
}

func (cache) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_cache", New: func() caddy.Module { return new(cache) }}
}

func (cache) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// nest is one with routes and handlers in it.
type nest struct {
	cache
	Inner *struct {
		Routes caddyhttp.RouteList `json:"routes"`
	} `json:"inner"`
	Named       map[string]caddyhttp.RouteList `json:"named"`
	HandlersRaw []json.RawMessage              `json:"handle" caddy:"namespace=http.handlers inline_key=handler"`
	Handlers    []caddyhttp.MiddlewareHandler  `json:"-"`
}

func (nest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_nest", New: func() caddy.Module { return new(nest) }}
}

func (n *nest) Provision(ctx caddy.Context) error {
	handlers, err := ctx.LoadModule(n, "HandlersRaw")
	if err != nil {
		return err
	}
	for _, h := range handlers.([]any) {
		n.Handlers = append(n.Handlers, h.(caddyhttp.MiddlewareHandler))
	}
	return nil
}

func warningsIn(t *testing.T, log string) (lines []string) {
	t.Helper()
	raw, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(raw)); s.Scan(); {
		if line := object(t, s.Bytes()); line["level"] == "warn" {
			handler, _ := line["handler"].(string)
			lines = append(lines, line["msg"].(string)+" | "+handler)
		}
	}
	return lines
}

// adaptSites adapts sites beside the right options; GATE stands for a gate.
func adaptSites(t *testing.T, options, sites string) []byte {
	t.Helper()
	right, _, _ := strings.Cut(spoil(t, "storage memory", "storage redis redis://localhost:1 {\nstorage_key "+someSecret+"\n}"), "https://login.example {")
	right = strings.Replace(right, "group players", "group players admins staff a b", 1)
	if strings.Contains(sites, "b.example") {
		right = strings.Replace(right, "fail_auth_url", "redirect_uri https://b.example/oauth2/callback\nfail_auth_url", 1)
	}
	config, err := adapt(strings.Replace(right, "{\n", "{\nauto_https off\n"+options+"\n", 1) + strings.ReplaceAll(sites, "GATE", aGate) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

const aGate = "sso_gate {\nclient 1\n}\n"

// heard reports whether exactly these were said, each by some words of it.
func heard(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d warnings, want %d: %q", len(got), len(want), got)
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("warning %q, want %q", got[i], want[i])
		}
	}
}
