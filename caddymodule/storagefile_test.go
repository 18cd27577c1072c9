package caddymodule

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// scramble writes noise over a file, from a byte on.
func scramble(t *testing.T, path string, from int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, info.Size()-from)
	rand.Read(noise) //nolint:errcheck // it never fails
	if _, err := f.WriteAt(noise, from); err != nil {
		t.Fatal(err)
	}
}

func TestAStorageFileThatIsDamagedWhileItIsOpenEndsNothing(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"all of it":       func(t *testing.T, path string) { scramble(t, path, 0) },
		"all but its top": func(t *testing.T, path string) { scramble(t, path, 2*4096) },
		"it was cut off": func(t *testing.T, path string) {
			if err := os.Truncate(path, 3*4096); err != nil {
				t.Fatal(err)
			}
		},
		"nothing is left": func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			path := filepath.Join(w.dir, "sso.db")
			s := setup{storage: "storage file " + path}.withLog()
			w.mustLoad(s)
			page := "http://" + w.site + "/"
			known, leaving, waiting := w.visitor(), w.visitor(), w.visitor()
			known.signIn(page)
			leaving.signIn(page)
			form := waiting.get(page)
			damage(t, path)

			for range 3 {
				if got := known.getOnce(page); got.body != "hello demo" {
					t.Errorf("who is signed in gets %s: %s", got.Status, got.body)
				}
				if got := waiting.submit(form, "demo", "demo"); got.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("a sign-in gets %s: %s", got.Status, got.body)
				}
			}
			got := leaving.submit(leaving.get("http://"+w.portal+"/sso/sign_out"), "", "")
			if got.StatusCode != http.StatusServiceUnavailable || len(got.Cookies()) > 0 {
				t.Errorf("a sign-out gets %s, cookies %v: %s", got.Status, got.Cookies(), got.body)
			}
			s.global = "session {\nidle 1h\n}"
			w.mustLoad(s)
			if got := known.getOnce(page); got.body != "hello demo" {
				t.Errorf("after a reload, who is signed in gets %s: %s", got.Status, got.body)
			}

			out, err := sso(t, "", "storage", "status", "--address", w.admin)
			if err == nil || !strings.Contains(out, "the file is damaged") || !strings.Contains(out, path) {
				t.Errorf("the status: %v\n%s", err, out)
			}
			told := 0
			_, lines := w.logged()
			for _, l := range lines {
				if strings.HasPrefix(l.Text, "the storage file is damaged") {
					told++
				}
			}
			if told != 1 {
				t.Errorf("the log tells of damage %d times", told)
			}
		})
	}
}

func TestAStorageFileThatIsDamagedIsRefusedAtLoadAndNamed(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"noise":        func(t *testing.T, path string) { scramble(t, path, 0) },
		"a noisy page": func(t *testing.T, path string) { scramble(t, path, 2*4096) },
		"it was cut off": func(t *testing.T, path string) {
			if err := os.Truncate(path, 3*4096); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			path := filepath.Join(w.dir, "sso.db")
			s := setup{storage: "storage file " + path}
			w.mustLoad(s)
			w.visitor().signIn("http://" + w.site + "/")
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			damage(t, path)
			for range 2 { // nothing is left locked
				err := w.load(s)
				if err == nil || !strings.Contains(err.Error(), "opening "+path+": the file is damaged") || !strings.Contains(err.Error(), "move it away") {
					t.Errorf("it says %v", err)
				}
			}
			for _, task := range []string{"check", "compact"} {
				if out, err := sso(t, "", "storage", task, "--file", path); err == nil || !strings.Contains(out, path) || !strings.Contains(out, "damaged") {
					t.Errorf("storage %s: %v\n%s", task, err, out)
				}
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			w.mustLoad(s)
			if got := w.visitor().signIn("http://" + w.site + "/"); got.body != "hello demo" {
				t.Errorf("with a new file: %s: %s", got.Status, got.body)
			}
		})
	}
}

func TestAStorageFileIsCheckedAndCompactedWhileItIsOpenAndWhileItIsNot(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.dir, "sso.db")
	s := setup{storage: "storage file " + path}
	w.mustLoad(s)
	page := "http://" + w.site + "/"
	v := w.visitor()
	v.signIn(page)
	tasks := map[string]string{"check": "no damage", "compact": "MiB before, "}
	for task, want := range tasks {
		if out := mustSSO(t, "", "storage", task, "--address", w.admin); !strings.Contains(out, want) {
			t.Errorf("storage %s prints\n%s", task, out)
		}
		if got := v.getOnce(page); got.body != "hello demo" {
			t.Errorf("after storage %s: %s: %s", task, got.Status, got.body)
		}
		if got := w.visitor().signIn(page); got.body != "hello demo" {
			t.Errorf("signing in after storage %s: %s: %s", task, got.Status, got.body)
		}
		if out, err := sso(t, "", "storage", task, "--file", path); err == nil || !strings.Contains(out, "another process has the file open; stop it, or ask the server that has it") {
			t.Errorf("storage %s of a file that is open: %v\n%s", task, err, out)
		}
	}
	if out := mustSSO(t, "", "storage", "status", "--address", w.admin); !strings.Contains(out, "unused:") {
		t.Errorf("storage status prints\n%s", out)
	}

	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	for task, want := range tasks {
		if out := mustSSO(t, "", "storage", task, "--file", path); !strings.Contains(out, want) {
			t.Errorf("storage %s prints\n%s", task, out)
		}
		if out, err := sso(t, "", "storage", task, "--file", path+"-"); err == nil || !strings.Contains(out, path+"-") {
			t.Errorf("storage %s of no file: %v\n%s", task, err, out)
		}
		if out, err := sso(t, "", "storage", task, "--file", ""); err == nil || !strings.Contains(out, "--file is empty") {
			t.Errorf("storage %s of nothing: %v\n%s", task, err, out)
		}
	}
	w.mustLoad(s)
	if got := v.getOnce(page); got.body != "hello demo" {
		t.Errorf("who was signed in before gets %s: %s", got.Status, got.body)
	}
}

func TestOnlyAStorageFileIsCheckedAndCompacted(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	for _, task := range []string{"check", "compact"} {
		want := fmt.Sprintf("the storage is memory; storage %s is for storage file", task)
		if out, err := sso(t, "", "storage", task, "--address", w.admin); err == nil || !strings.Contains(out, want) {
			t.Errorf("storage %s: %v\n%s", task, err, out)
		}
	}
}
