package page_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"golang.org/x/net/html"
)

// catalogueKeys are the keys of the English message file, with their texts.
func catalogueKeys(t *testing.T) map[string]string {
	t.Helper()
	var raw map[string]any
	if _, err := toml.DecodeFile("messages/en.toml", &raw); err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]string)
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case string:
			keys[prefix] = v
		case map[string]any:
			if plural, ok := v["other"].(string); ok {
				keys[prefix] = plural
				return
			}
			for name, inner := range v {
				walk(strings.TrimPrefix(prefix+"."+name, "."), inner)
			}
		default:
			t.Fatalf("%s is a %T", prefix, v)
		}
	}
	walk("", raw)
	return keys
}

// goFiles parses the files of this module that are no tests, by path.
func goFiles(t *testing.T, root string) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set, files := token.NewFileSet(), make(map[string]*ast.File)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root || d.Name() == "node_modules" || d.Name() == ".git" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files[path], err = parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return set, files
}

// moduleRoot is the folder of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	for dir := ".."; ; dir = filepath.Join("..", dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if len(dir) > 60 {
			t.Fatal("no go.mod above")
		}
	}
}

func templateFiles(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("templates/*.html")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d templates, error %v", len(names), err)
	}
	sources := make(map[string]string)
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources[name] = string(source)
	}
	return sources
}

var keyShape = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)+$`)

// usedKeys are the keys that templates and this package use, each with where.
func usedKeys(t *testing.T, keys map[string]string) map[string]string {
	t.Helper()
	used := make(map[string]string)
	message := regexp.MustCompile(`\bmsg "([^"]*)"`)
	for name, source := range templateFiles(t) {
		for _, m := range message.FindAllStringSubmatch(source, -1) {
			used[m[1]] = name
		}
	}
	groups := make(map[string]bool)
	for key := range keys {
		group, _, _ := strings.Cut(key, ".")
		groups[group] = true
	}
	set, files := goFiles(t, ".")
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.CompositeLit); ok && isNamed(literal.Type, "Fault") {
				for _, part := range []string{"title", "text", "next"} {
					if key := "fault." + firstString(literal) + "." + part; part == "title" || keys[key] != "" {
						used[key] = set.Position(n.Pos()).String()
					}
				}
			}
			if text := stringOf(n); keyShape.MatchString(text) && !strings.HasSuffix(text, ".js") {
				if group, _, _ := strings.Cut(text, "."); groups[group] && group != "fault" {
					used[text] = set.Position(n.Pos()).String()
				}
			}
			return true
		})
	}
	return used
}

func isNamed(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// firstString is the first string of a composite literal.
func firstString(literal *ast.CompositeLit) string {
	if len(literal.Elts) == 0 {
		return ""
	}
	element := literal.Elts[0]
	if pair, ok := element.(*ast.KeyValueExpr); ok {
		element = pair.Value
	}
	return stringOf(element)
}

func stringOf(n ast.Node) string {
	literal, ok := n.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	text, _ := strconv.Unquote(literal.Value)
	return text
}

func TestTheCatalogueHasAllTextsThatAreUsedAndNoOthers(t *testing.T) {
	keys := catalogueKeys(t)
	used := usedKeys(t, keys)
	for key, where := range used {
		if _, there := keys[key]; !there {
			t.Errorf("%s uses %q, which is not in messages/en.toml", where, key)
		}
	}
	for key := range keys {
		if used[key] == "" {
			t.Errorf("messages/en.toml has %q, which nothing uses", key)
		}
	}
}

func TestEveryTextThatAPageOffersIsUsed(t *testing.T) {
	_, files := goFiles(t, moduleRoot(t))
	declared, used := make(map[string]bool), make(map[string]bool)
	for path, file := range files {
		base := filepath.Base(path)
		own := file.Name.Name == "page" && (base == "faults.go" || base == "texts.go")
		declares := make(map[*ast.Ident]bool)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if value, ok := spec.(*ast.ValueSpec); ok {
						for _, name := range value.Names {
							declares[name] = true
						}
					}
				}
			case *ast.FuncDecl:
				if d.Recv == nil {
					declares[d.Name] = true
				}
			}
		}
		for name := range declares {
			if own {
				declared[name.Name] = true
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if isNamed(n.X, "page") {
					used[n.Sel.Name] = true
				}
			case *ast.Ident:
				if file.Name.Name == "page" && !declares[n] {
					used[n.Name] = true
				}
			}
			return true
		})
	}
	if len(declared) < 50 {
		t.Fatalf("only %d texts are declared", len(declared))
	}
	for name := range declared {
		if !used[name] {
			t.Errorf("page.%s is not used", name)
		}
	}
}

// placeholders are the names of the values that are put in a text.
func placeholders(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`\{\{(.*?)\}\}`).FindAllStringSubmatch(text, -1) {
		names = append(names, strings.TrimPrefix(m[1], "."))
	}
	return names
}

func TestEveryValueOfATextIsGiven(t *testing.T) {
	keys := catalogueKeys(t)
	quoted := regexp.MustCompile(`"([^"]*)"`)
	want := func(where, key string, given []string) {
		for _, name := range placeholders(keys[key]) {
			if !slices.Contains(given, name) {
				t.Errorf("%s: %q lacks the value %s", where, key, name)
			}
		}
	}
	for name, source := range templateFiles(t) {
		for _, action := range regexp.MustCompile(`\bmsg "([^"]*)"[^}]*`).FindAllStringSubmatch(source, -1) {
			var given []string
			for _, m := range quoted.FindAllStringSubmatch(action[0], -1) {
				given = append(given, m[1])
			}
			want(name, action[1], given)
		}
	}
	set, files := goFiles(t, ".")
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok || !isNamed(literal.Type, "Fault") && !isNamed(literal.Type, "Text") {
				return true
			}
			var given []string
			ast.Inspect(literal, func(n ast.Node) bool {
				if pair, ok := n.(*ast.KeyValueExpr); ok {
					given = append(given, stringOf(pair.Key))
				}
				return true
			})
			key := firstString(literal)
			for _, part := range []string{"title", "text", "next"} {
				want(set.Position(n.Pos()).String(), "fault."+key+"."+part, given)
			}
			want(set.Position(n.Pos()).String(), key, given)
			return true
		})
	}
}

// sentence is what only a person reads: words with a space between.
var sentence = regexp.MustCompile(`\pL{2,}[,.:]? \pL`)

func TestNoTextForPeopleStandsInGoCode(t *testing.T) {
	set, files := goFiles(t, moduleRoot(t))
	looked := 0
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok || !isView(file, literal.Type) {
				return true
			}
			looked++
			ast.Inspect(literal, func(n ast.Node) bool {
				if pair, ok := n.(*ast.KeyValueExpr); ok && isNamed(pair.Key, "Reference") {
					return false // for the people who run the site
				}
				if text := stringOf(n); sentence.MatchString(text) {
					t.Errorf("%s: %q belongs into messages/en.toml", set.Position(n.Pos()), text)
				}
				return true
			})
			return true
		})
	}
	if looked < 50 {
		t.Errorf("only %d views were found", looked)
	}
}

// isView reports whether a composite literal is of a type of this package.
func isView(file *ast.File, of ast.Expr) bool {
	switch of := of.(type) {
	case *ast.SelectorExpr:
		return isNamed(of.X, "page")
	case *ast.Ident:
		return file.Name.Name == "page" && slices.Contains([]string{"Message", "Link", "Problem", "Text", "Fault", "args", "sheet"}, of.Name)
	}
	return false
}

func TestNoTextForPeopleStandsInTemplates(t *testing.T) {
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	letters := regexp.MustCompile(`\pL`)
	for name, source := range templateFiles(t) {
		source = strings.NewReplacer("<noscript>", "", "</noscript>", "").Replace(source) // what is in it would be one text
		z := html.NewTokenizer(strings.NewReader(action.ReplaceAllString(source, "")))
		for z.Next() != html.ErrorToken {
			token := z.Token()
			if token.Type == html.TextToken && letters.MatchString(token.Data) {
				t.Errorf("%s: %q belongs into messages/en.toml", name, strings.TrimSpace(token.Data))
			}
			for _, a := range token.Attr {
				shown := slices.Contains([]string{"alt", "title", "placeholder", "aria-label", "aria-description"}, a.Key) || strings.HasPrefix(a.Key, "data-")
				if shown && letters.MatchString(a.Val) {
					t.Errorf("%s: %s=%q belongs into messages/en.toml", name, a.Key, a.Val)
				}
			}
		}
	}
}

func TestNoTextForPeopleStandsInScripts(t *testing.T) {
	quoted := regexp.MustCompile("\"([^\"\n]*)\"|`([^`]*)`")
	for name, body := range scripts(t) {
		for _, m := range quoted.FindAllStringSubmatch(body, -1) {
			if text := m[1] + m[2]; text != "use strict" && sentence.MatchString(text) || regexp.MustCompile(`textContent = .*["'`+"`"+`]`).MatchString(m[0]) {
				t.Errorf("%s: %q belongs into messages/en.toml", name, text)
			}
		}
	}
}

// A text says what happened, whether something was lost, and what to do next, in at
// most three sentences.
func TestFaultsAreSaidInThreeSentencesAtMost(t *testing.T) {
	keys := catalogueKeys(t)
	sentences := func(text string) int { return len(regexp.MustCompile(`[.?!](\s|$)`).FindAllString(text, -1)) }
	for key, title := range keys {
		if fault, ok := strings.CutSuffix(key, ".title"); ok && strings.HasPrefix(key, "fault.") {
			if n := sentences(keys[fault+".text"]) + sentences(keys[fault+".next"]); n > 3 {
				t.Errorf("%s has %d sentences", fault, n)
			}
			if sentences(title) != 0 {
				t.Errorf("%s: the title %q is a heading, which ends without a full stop", fault, title)
			}
		}
	}
}
