package sso_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/caddy-sso/caddy-sso"

// layers are the folders of docs/architecture.md, from the top down. A package
// imports only what stands in a layer below its own.
var layers = [][]string{
	{"cmd/caddy"},
	{"."},
	{"caddymodule"},
	{"caddymodule/internal/command"},
	{"caddymodule/internal/adminapi"},
	{"caddymodule/internal/appruntime", "caddymodule/internal/customers"},
	{"caddymodule/internal/signinmethods", "caddymodule/internal/storageengines", "caddymodule/internal/routecheck"},
	{"caddymodule/internal/options", "caddymodule/internal/httphandler"},
	{"caddymodule/internal/secrets", "caddymodule/internal/wallclock"},
	{"storage/memory", "storage/file", "storage/redis", "internal/endings"}, // by name for caddymodule alone
	{"internal/loginapi", "internal/licenseapi", "internal/oidc", "internal/portal", "internal/gate"},
	{"internal/signin/background"},
	{"internal/signin/methods", "internal/signin/provider/providertest", "internal/signin/remote/remotetest", "internal/signin/local/localtest"},
	{"internal/signin/local", "internal/signin/provider", "internal/signin/remote"},
	{"internal/signin/limits", "internal/signin/userinfo"},
	{"internal/signin/subjects"},
	{"internal/signin/username"},
	{"internal/httpapi", "internal/page", "internal/signedhttp", "internal/httpapi/httpapitest", "internal/oauth/oauthtest"},
	{"internal/oauth", "signin"},
	{"internal/keys/keystest"},
	{"session", "codes", "internal/keys", "internal/attemptlimit", "internal/sharedclock", "internal/logthrottle"},
	{"internal/records", "internal/feedcache", "internal/jsonlines", "storage/storagetest", "internal/redistest", "internal/faultystore", "internal/testclock"},
	{"internal/storagefeed"},
	{"storage", "internal/fileaccess"},
}

// forTests are the folders that tests alone import, wherever those stand. They
// may use the engines.
var forTests = []string{"internal/httpapi/httpapitest", "internal/keys/keystest", "internal/oauth/oauthtest", "internal/signin/local/localtest", "internal/signin/provider/providertest", "internal/signin/remote/remotetest", "storage/storagetest", "internal/redistest", "internal/faultystore", "internal/testclock"}

// public are the folders that programs outside this module may import.
var public = []string{"cmd/caddy", ".", "caddymodule", "session", "codes", "signin", "storage", "storage/memory", "storage/file", "storage/redis", "storage/storagetest"}

// engines are the folders that only caddymodule, and what is below it, knows by name.
var engines = []string{"storage/memory", "storage/file", "storage/redis", "internal/endings"}

// engineImports are the folders that a storage engine may import.
var engineImports = []string{"storage", "internal/fileaccess", "internal/storagefeed"}

// knowsCaddy says whether a folder is caddymodule, or below it.
func knowsCaddy(folder string) bool {
	return folder == "caddymodule" || strings.HasPrefix(folder, "caddymodule/internal/")
}

// mayReachCaddy says whether a folder is one of the few that reach Caddy.
func mayReachCaddy(folder string) bool {
	return folder == "cmd/caddy" || folder == "." || knowsCaddy(folder)
}

// A listed package is what go list says of it.
type listed struct {
	ImportPath                               string
	Standard                                 bool
	Imports, TestImports, XTestImports, Deps []string
	Module                                   *struct{ Path string }
}

// list runs go list over all packages of the module and what they import.
func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", "nobadger,nomysql,nopgx",
		"-json=ImportPath,Standard,Imports,TestImports,XTestImports,Deps,Module", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	packages := map[string]listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// folder is a package's place in the module, if it is one of ours.
func folder(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// layerOf is the number of a folder's layer, counted from the top.
func layerOf(folder string) (int, bool) {
	i := slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, folder) })
	return i, i >= 0
}

// upward says what is wrong with an import, if anything is.
func upward(from, to string) string {
	above, known := layerOf(from)
	below, alsoKnown := layerOf(to)
	switch {
	case !known || !alsoKnown:
		return fmt.Sprintf("%s imports %s: one of the two stands in no layer; give it one, here and in docs/architecture.md", from, to)
	case slices.Contains(engines, from) || strings.HasPrefix(from, "storage/"):
		if !slices.Contains(engineImports, to) {
			return fmt.Sprintf("%s imports %s: a storage engine imports only %s", from, to, strings.Join(engineImports, ", "))
		}
	case slices.Contains(engines, to) && !knowsCaddy(from):
		return fmt.Sprintf("%s imports %s: only caddymodule knows the engines by name", from, to)
	case above == below:
		return fmt.Sprintf("%s imports %s, which stands beside it", from, to)
	case above > below:
		return fmt.Sprintf("%s imports %s, which stands above it", from, to)
	}
	return ""
}

func TestAPackageImportsOnlyWhatStandsBelowIt(t *testing.T) {
	seen := map[string]bool{}
	for importPath, p := range list(t) {
		from, ours := folder(importPath)
		if !ours {
			continue
		}
		seen[from] = true
		if _, known := layerOf(from); !known {
			t.Errorf("%s stands in no layer; give it one, here and in docs/architecture.md", from)
		}
		for _, imported := range p.Imports {
			to, ours := folder(imported)
			testing := slices.Contains(forTests, from)
			switch {
			case !ours || testing && slices.Contains(engines, to):
				continue
			case !testing && slices.Contains(forTests, to):
				t.Errorf("%s imports %s, which is for tests", from, to)
			}
			if wrong := upward(from, to); wrong != "" {
				t.Error(wrong)
			}
		}
	}
	for _, layer := range layers {
		for _, folder := range layer {
			if !seen[folder] {
				t.Errorf("%s is in the picture, but not in the module", folder)
			}
		}
	}
}

// Tests may use the engines, and what is kept for them.
func TestTestsImportNothingFromAbove(t *testing.T) {
	for importPath, p := range list(t) {
		from, ours := folder(importPath)
		if !ours {
			continue
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			to, ours := folder(imported)
			if !ours || to == from || to == "storage" || slices.Contains(engines, to) || slices.Contains(forTests, to) {
				continue
			}
			if wrong := upward(from, to); wrong != "" {
				t.Errorf("a test of %s", wrong)
			}
		}
	}
}

// What is public can no longer change freely, so each public folder is a decision.
func TestPublicFoldersAreThoseThatOthersHaveToImport(t *testing.T) {
	for importPath := range list(t) {
		from, ours := folder(importPath)
		if ours && !strings.HasPrefix(from, "internal/") && !strings.HasPrefix(from, "caddymodule/internal/") && !slices.Contains(public, from) {
			t.Errorf("%s is public: move it below internal, or name it here and in docs/architecture.md", from)
		}
	}
}

func TestOnlyTheTopReachesCaddy(t *testing.T) {
	packages := list(t)
	isCaddy := func(importPath string) bool {
		p := packages[importPath]
		return strings.HasPrefix(importPath, "github.com/caddyserver/caddy/") ||
			(p.Module != nil && strings.HasPrefix(p.Module.Path, "github.com/caddyserver/caddy"))
	}
	reached := false
	for importPath, p := range packages {
		from, ours := folder(importPath)
		if !ours {
			continue
		}
		if mayReachCaddy(from) {
			reached = reached || slices.ContainsFunc(p.Deps, isCaddy)
			continue
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if isCaddy(imported) {
				t.Errorf("%s imports %s", from, imported)
			} else if to, ours := folder(imported); !ours && slices.ContainsFunc(packages[imported].Deps, isCaddy) {
				t.Errorf("%s imports %s, which reaches Caddy", from, to)
			}
		}
	}
	if !reached {
		t.Error("nobody reaches Caddy: this test looks for the wrong thing")
	}
}

// Beside the standard library package page needs what reads the message files.
func TestPageNeedsOnlyTheStandardLibraryAndWhatReadsItsTexts(t *testing.T) {
	packages := list(t)
	catalogue := []string{
		"github.com/BurntSushi/toml", "github.com/nicksnyder/go-i18n/v2/i18n", "github.com/nicksnyder/go-i18n/v2/i18n/template", "golang.org/x/text/language",
	}
	for _, imported := range packages[module+"/internal/page"].Imports {
		if !packages[imported].Standard && !slices.Contains(catalogue, imported) {
			t.Errorf("page imports %s", imported)
		}
	}
}

func TestThePictureNamesEveryFolder(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		for _, folder := range layer {
			name := folder
			switch {
			case folder == ".":
				name = "sso.go"
			case slices.Contains(engines, folder) && strings.HasPrefix(folder, "storage/"):
				name = "storage"
			case slices.Contains(forTests, folder):
				continue
			}
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `(/|\s)`).Match(text) {
				t.Errorf("docs/architecture.md does not say what %s is for", name)
			}
		}
	}
}

// Few dependencies, each with a written reason.
func TestDirectDependenciesAreThoseWithAReason(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Direct dependencies\n")
	if !found {
		t.Fatal("docs/architecture.md has no section Direct dependencies")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var reasons []string
	for _, m := range regexp.MustCompile("(?m)^- `([^`]+)`: \\S").FindAllStringSubmatch(section, -1) {
		reasons = append(reasons, m[1])
	}
	var direct []string
	for _, r := range readGoMod(t).Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	for _, d := range direct {
		if !slices.Contains(reasons, d) {
			t.Errorf("go.mod requires %s, without a reason in docs/architecture.md", d)
		}
	}
	for _, r := range reasons {
		if !slices.Contains(direct, r) {
			t.Errorf("docs/architecture.md gives a reason for %s, which go.mod does not require directly", r)
		}
	}
}

// goMod is what go.mod says.
type goMod struct {
	Go      string
	Require []struct {
		Path, Version string
		Indirect      bool
	}
}

func readGoMod(t *testing.T) goMod {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var m goMod
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
