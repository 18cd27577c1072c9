package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const ann = `{"name":"ann","hash":"` + demoHash + `","groups":["players"]}` + "\n"

// usersFile writes a file of users, as an editor does that replaces it.
func (w *world) usersFile(text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, "users.jsonl")
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func TestAUserOfTheFileIsThroughTheGateUntilTheLineIsGone(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{local: "users " + w.usersFile(ann)})
	site := "http://" + w.site + "/"
	v, demo := w.visitor(), w.visitor()
	if got := v.submit(v.get(site), "ann", "demo"); got.body != "hello ann" {
		t.Fatalf("%s: %s", got.Status, got.body)
	}
	demo.signIn(site)
	w.usersFile("a broken line\n" + strings.Replace(ann, "ann", "bob", 1))
	eventually(t, "ann is signed out", func() bool { return v.getOnce(site).StatusCode == http.StatusFound })
	if got := v.submit(v.get(site), "ann", "demo"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("ann signs in all the same: %s %s", got.Status, got.body)
	}
	if got := v.submit(v.get(site), "bob", "demo"); got.body != "hello bob" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	if got := demo.getOnce(site); got.body != "hello demo" {
		t.Errorf("the user of the Caddyfile: %s", got.Status)
	}
}

func TestAConfigurationWhoseFileOfUsersIsNotThereIsRefused(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{local: "users " + w.usersFile(ann)})
	running := w.running()
	err := w.load(setup{local: "users " + filepath.Join(w.dir, "none")})
	if err == nil || !strings.Contains(err.Error(), "caddy sso user add") {
		t.Errorf("got %v", err)
	}
	if w.running() != running {
		t.Error("the configuration that works was replaced")
	}
	if n := references(running.opened.Load().Identity); n != 1 {
		t.Errorf("%d hold the store", n)
	}
}

func TestNobodyWatchesAFileOfUsersThatIsNoLongerConfigured(t *testing.T) {
	w := newWorld(t)
	path := w.usersFile(ann)
	watching := func() int {
		stacks := make([]byte, 1<<20)
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "signin/local.(*Method).Watch(")
	}
	for i := range 5 {
		w.mustLoad(setup{local: "users " + path, global: fmt.Sprintf("codes {\ncapacity %d\n}", 100+i)})
	}
	eventually(t, "one watches", func() bool { return watching() == 1 })
	w.mustLoad(setup{})
	eventually(t, "nobody watches", func() bool { return watching() == 0 })
}
