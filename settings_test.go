package sso_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Settings as the source of caddymodule has them.
type settings struct {
	fields  map[string][]field // by struct
	options []string           // names that the Caddyfile parser reads
	syntax  string             // all comments that begin a syntax
}

type field struct {
	name, json string
	documented bool
}

// configured are the structs that a configuration is made of.
var configured = []string{
	"App", "SessionConfig", "CodesConfig", "BrandConfig", "ClientConfig", "Local", "OIDC", "Backend", "Trusted", "Attempts", "User",
	"Memory", "File", "Redis", "RevokeWait", "Gate", "GateRules", "GateRule", "GateHeaders",
	"LicenseConfig", "APIKeyConfig", "CustomerAccountConfig", "ProductConfig", "ProvisionConfig",
}

func readSettings(t *testing.T) settings {
	t.Helper()
	var paths []string
	for _, folder := range []string{"caddymodule", "caddymodule/internal/signinmethods", "caddymodule/internal/storageengines"} {
		found, err := filepath.Glob(folder + "/*.go")
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", folder, len(found), err)
		}
		paths = append(paths, found...)
	}
	s := settings{fields: map[string][]field{}}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, comment := range source.Comments {
			if _, syntax, found := strings.Cut(comment.Text(), "Syntax:\n"); found {
				s.syntax += syntax
			}
		}
		ast.Inspect(source, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if body, ok := n.Type.(*ast.StructType); ok && n.Name.IsExported() {
					s.fields[n.Name.Name] = fieldsOf(body)
				}
			case *ast.CompositeLit:
				s.options = append(s.options, optionsOf(n)...)
			}
			return true
		})
	}
	slices.Sort(s.options)
	s.options = slices.Compact(s.options)
	return s
}

// fieldsOf are the fields of a struct that JSON has.
func fieldsOf(body *ast.StructType) []field {
	var fields []field
	for _, f := range body.Fields.List {
		if f.Tag == nil || len(f.Names) == 0 {
			continue
		}
		tag, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		if name != "" && name != "-" {
			fields = append(fields, field{f.Names[0].Name, name, strings.TrimSpace(f.Doc.Text()) != ""})
		}
	}
	return fields
}

// optionsOf are the keys of a literal map[string]func() error, which is what
// blocks are read with.
func optionsOf(lit *ast.CompositeLit) []string {
	m, ok := lit.Type.(*ast.MapType)
	if !ok {
		return nil
	}
	if _, ok := m.Value.(*ast.FuncType); !ok {
		return nil
	}
	var names []string
	for _, e := range lit.Elts {
		if key, ok := e.(*ast.KeyValueExpr).Key.(*ast.BasicLit); ok {
			if name, err := strconv.Unquote(key.Value); err == nil {
				names = append(names, name)
			}
		}
	}
	return names
}

func TestEverySettingHasAComment(t *testing.T) {
	s := readSettings(t)
	for _, name := range configured {
		if len(s.fields[name]) == 0 {
			t.Errorf("%s has no settings", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.fields)) {
		if len(s.fields[name]) > 0 && !slices.Contains(configured, name) {
			t.Errorf("%s has settings that this test does not know", name)
		}
		for _, f := range s.fields[name] {
			if !f.documented {
				t.Errorf("%s.%s has no comment, which is its documentation", name, f.name)
			}
		}
	}
}

func TestEveryOptionHasASyntaxADocumentAndAGolden(t *testing.T) {
	s := readSettings(t)
	if len(s.options) < 30 {
		t.Fatalf("only %d options found: %q", len(s.options), s.options)
	}
	documentation, err := os.ReadFile("docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	var caddyfiles strings.Builder
	for _, g := range readGoldens(t) {
		caddyfiles.WriteString(g.caddyfile)
	}
	for _, option := range s.options {
		if !regexp.MustCompile(`(?m)^[^\n]*\b` + option + `\b`).MatchString(s.syntax) {
			t.Errorf("%s is in no Syntax comment", option)
		}
		if !strings.Contains(string(documentation), "`"+option+"`") {
			t.Errorf("docs/settings.md does not explain `%s`", option)
		}
		if !regexp.MustCompile(`(?m)^\s*` + option + `\b`).MatchString(caddyfiles.String()) {
			t.Errorf("no golden in testdata/adapt has the option %s", option)
		}
	}
}

func TestEverySettingIsInAGolden(t *testing.T) {
	var configs strings.Builder
	for _, g := range readGoldens(t) {
		configs.WriteString(g.json)
	}
	for name, fields := range readSettings(t).fields {
		for _, f := range fields {
			if !strings.Contains(configs.String(), `"`+f.json+`":`) {
				t.Errorf("no golden in testdata/adapt has %s.%s (%q)", name, f.name, f.json)
			}
		}
	}
}

// The names of storages and sign-in methods are settings, too.
func TestEveryModuleIsDocumented(t *testing.T) {
	documentation, err := os.ReadFile("docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range modules {
		if name := id[strings.LastIndexByte(id, '.')+1:]; !strings.Contains(string(documentation), "`"+name+"`") {
			t.Errorf("docs/settings.md does not explain `%s`", name)
		}
	}
}
