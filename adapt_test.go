package sso_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-sso/caddy-sso"
)

var update = flag.Bool("update", false, "write what the adapter says into testdata/adapt")

const goldens = "testdata/adapt/*.caddyfiletest"

// A golden is a Caddyfile and the JSON that it becomes.
type golden struct{ path, caddyfile, json string }

func readGoldens(t *testing.T) []golden {
	t.Helper()
	paths, err := filepath.Glob(goldens)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	list := make([]golden, 0, len(paths))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		caddyfile, wanted, found := strings.Cut(string(text), "\n----------\n")
		if !found && !*update {
			t.Fatalf("%s has no line of hyphens between Caddyfile and JSON", path)
		}
		list = append(list, golden{path, strings.TrimSpace(caddyfile) + "\n", strings.TrimSpace(wanted)})
	}
	return list
}

func TestCaddyfilesAdaptToJSON(t *testing.T) {
	for _, g := range readGoldens(t) {
		t.Run(filepath.Base(g.path), func(t *testing.T) {
			if filepath.Base(g.path) == "example.caddyfiletest" {
				example, err := os.ReadFile("Caddyfile.example")
				if err != nil {
					t.Fatal(err)
				}
				if *update {
					g.caddyfile = string(example)
				} else if strings.TrimSpace(g.caddyfile) != strings.TrimSpace(string(example)) {
					t.Error("Caddyfile.example has changed; go test -run TestCaddyfilesAdaptToJSON -update . takes it over")
				}
			}
			config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(g.caddyfile), map[string]any{"filename": "Caddyfile"})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				t.Errorf("warning: %v", w)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, config, "", "\t"); err != nil {
				t.Fatal(err)
			}
			if *update {
				text := strings.TrimSpace(g.caddyfile) + "\n----------\n" + got.String() + "\n"
				if err := os.WriteFile(g.path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != g.json {
				t.Errorf("%s adapts to\n%s\nwant\n%s", g.path, &got, g.json)
			}
		})
	}
}
