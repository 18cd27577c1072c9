package sso_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// An example is a Caddyfile, or a part of one, that people paste.
type example struct{ at, text string }

var (
	fenced   = regexp.MustCompile("(?ms)^([ \t]*)```caddyfile\n(.*?)^[ \t]*```$")
	variable = regexp.MustCompile(`\{env\.(\w+)\}`)
)

// readExamples are those of all pages. A syntax (`<id>`, `{ … }`) is none.
func readExamples(t *testing.T) []example {
	t.Helper()
	paths, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []example
	for _, path := range append(paths, "README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
			first, _, _ := strings.Cut(strings.TrimSpace(block[2]), "\n")
			body := strings.ReplaceAll("\n"+block[2], "\n"+block[1], "\n")[1:]
			if !strings.Contains(body, "<id>") && body != "sso_portal\n" {
				list = append(list, example{path + ": " + first, body})
			}
		}
	}
	return list
}

const (
	exampleSite   = "play.example.com {\n"
	exampleClient = "client 1 {\npublic\nredirect_uri https://play.example.com/oauth2/callback https://app.example.com/oauth2/callback https://example.com/oauth2/callback\nfail_auth_url https://play.example.com/sign-in.html\n}\n"
	exampleUsers  = "signin local {\nuser ada <hash> {\ngroup players admins\n}\n}\n"
	examplePortal = "login.example.com {\nsso_portal\n}\n"
)

// whole makes a Caddyfile of an example: what is around it comes from the README.
func (e example) whole() string {
	option := func(more string) string {
		clients := exampleClient
		if regexp.MustCompile(`(?m)^client 1 \{`).MatchString(more) {
			clients = ""
		}
		if strings.Contains(e.text, "license_activation") {
			more = "license {\ncustomers customers.jsonl\nproduct demo {\nclient 1\nredirect_uri https://app.example.com/sso\n}\n}\n"
		}
		if strings.Contains(more, "client 2\n") && !strings.Contains(more, "client 2 {") {
			clients += "client 2 {\npublic\nredirect_uri https://app.example.com/sso\n}\n"
		}
		if !strings.Contains(more, "signin local {") {
			more += "\n" + exampleUsers
		}
		return "{\nsso {\nissuer https://login.example.com\n" + clients + more + "\n}\n}\n"
	}
	word, _, _ := strings.Cut(e.text, " ")
	switch {
	case strings.HasPrefix(e.text, "{\n") && strings.Contains(e.text, "sso {"):
		return e.text
	case strings.HasPrefix(e.text, "{\n"):
		return strings.TrimSuffix(strings.TrimSpace(e.text), "}") + strings.TrimPrefix(option(""), "{\n") + examplePortal
	case slices.Contains([]string{"storage", "session", "codes", "signin", "client", "brand", "license"}, word):
		return option(e.text) + examplePortal
	case strings.Contains(strings.Split(e.text, "\n")[0], "."): // a site
		return option("") + examplePortal + e.text
	case strings.Contains(e.text, "sso_gate"):
		return option("") + examplePortal + exampleSite + e.text + "\nrespond ok\n}\n"
	}
	return option("") + examplePortal + exampleSite + "sso_gate {\nclient 1\n}\n" + e.text + "\nrespond ok\n}\n"
}

func TestEveryExampleOfTheDocumentationIsTaken(t *testing.T) {
	hash := "$2a$04$tNK7Vrf/o2nWI84RKhns8.o/g8e1YQp0JT3kozd3LHKEzqbSyTBmm"
	list := readExamples(t)
	if len(list) < 15 {
		t.Fatalf("only %d examples were found", len(list))
	}
	for _, e := range list {
		t.Run(e.at, func(t *testing.T) {
			if formatted := string(caddyfile.Format([]byte(e.text))); formatted != e.text {
				t.Errorf("caddy fmt writes it otherwise:\n%s", formatted)
			}
			for _, name := range variable.FindAllStringSubmatch(e.text, -1) {
				t.Setenv(name[1], "0123456789abcdef0123456789abcdef")
			}
			text := strings.ReplaceAll(e.whole(), "<hash>", hash)
			config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			var c caddy.Config
			if err := json.Unmarshal(config, &c); err != nil {
				t.Fatal(err)
			}
			c.StorageRaw = caddyconfig.JSON(map[string]string{"module": "file_system", "root": t.TempDir()}, nil)
			if err := caddy.Validate(&c); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}

var (
	anyFence = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```$")
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	anchor   = regexp.MustCompile(`<a id="([^"]+)">`)
	link     = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|srcset)="([^"]+)"`)
	noSlug   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// readPages are all pages by path, without what is fenced in them.
func readPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md", "examples/*/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			pages[path] = anyFence.ReplaceAllString(string(text), "")
		}
	}
	return pages
}

// anchorsOf are the fragments that a page has, as GitHub makes them of headings.
func anchorsOf(page string) []string {
	var list []string
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		slug := noSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(slug, " ", "-"))
	}
	for _, m := range anchor.FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestEveryLinkOfTheDocumentationLeadsSomewhere(t *testing.T) {
	pages, checked := readPages(t), 0
	for path, page := range pages {
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") {
				continue
			}
			checked++
			file, fragment, _ := strings.Cut(target, "#")
			to := path
			if file != "" {
				to = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: there is no such file", path, target)
			} else if fragment != "" && !slices.Contains(anchorsOf(pages[to]), fragment) {
				t.Errorf("%s links to %s: %s has no such heading", path, target, to)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d links were found", checked)
	}
}

// What troubleshooting.md quotes is what the code says.
func TestEveryMessageOfTroubleshootingIsSaid(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, pattern := range []string{"*/*.go", "*/*/*.go", "*/*/*/*.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(text)
		}
	}
	_, table, _ := strings.Cut(string(page), "| message |")
	table, _, _ = strings.Cut(table, "\n\n")
	messages := regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(table, -1)
	if len(messages) < 10 {
		t.Fatalf("only %d messages were found", len(messages))
	}
	changing := regexp.MustCompile("`, `|[`…]|\\{env\\.X\\}|\"google\"")
	for _, m := range messages {
		for _, part := range changing.Split(m[1], -1) {
			if part = strings.Trim(part, " ;,"); part != "" && !strings.Contains(code.String(), part) {
				t.Errorf("docs/troubleshooting.md quotes %s, but nothing says %q", m[1], part)
			}
		}
	}
}
