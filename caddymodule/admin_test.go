package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
)

// ask sends a request to the admin API.
func (w *world) ask(method, path string) answered {
	w.t.Helper()
	v := &visitor{w, &http.Client{}}
	r := v.request(method, "http://"+w.admin+path, "")
	r.Header.Set("Origin", "http://"+w.admin)
	return v.send(r)
}

// ends asks the admin API to end something, and wants so much ended at once. A
// search of the whole store may go on or not.
func (w *world) ends(path string, sessions, grants int) {
	w.t.Helper()
	got := w.ask(http.MethodDelete, path)
	var n adminapi.Ended
	if err := json.Unmarshal([]byte(got.body), &n); err != nil || got.StatusCode != http.StatusOK || n.Ended != sessions || n.Grants != grants {
		w.t.Errorf("DELETE %s: %s: %s", path, got.Status, got.body)
	}
}

func (w *world) sessions() []adminapi.SessionEntry {
	w.t.Helper()
	got := w.ask(http.MethodGet, "/sso/sessions")
	var entries []adminapi.SessionEntry
	if err := json.Unmarshal([]byte(got.body), &entries); err != nil || got.Header.Get("Content-Type") != "application/json" {
		w.t.Fatalf("%s, %q: %s", got.Status, got.Header.Get("Content-Type"), got.body)
	}
	return entries
}

func TestTheAdminAPIListsAndEndsSessions(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	page := "http://" + w.site + "/"
	if got := w.ask(http.MethodGet, "/sso/sessions"); strings.TrimSpace(got.body) != "[]" {
		t.Errorf("no sessions are %s", got.body)
	}
	one, other, third := w.visitor(), w.visitor(), w.visitor()
	for _, v := range []*visitor{one, other, third} {
		v.signIn(page)
	}
	entries := w.sessions()
	if len(entries) != 3 {
		t.Fatalf("%d sessions, want 3", len(entries))
	}
	for _, e := range entries {
		if e.User != "demo" || !options.IsUUID(e.Subject) || e.Email != "demo@example.com" || e.Signin != "local" ||
			len(e.Groups) != 1 || e.Agent != "Go-http-client/1.1" || e.From != "127.0.0.1" || e.Seen.Before(e.Begun) || !e.Expires.After(e.Begun) || len(e.ID) < 8 {
			t.Errorf("an entry is %+v", e)
		}
	}

	if got := w.ask(http.MethodDelete, "/sso/sessions/"+entries[0].ID); got.StatusCode != http.StatusOK || strings.TrimSpace(got.body) != `{"ended":1}` {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	if n := len(w.sessions()); n != 2 {
		t.Errorf("%d sessions are left, want 2", n)
	}
	out := 0
	for _, v := range []*visitor{one, other, third} {
		if v.getOnce(page).StatusCode == http.StatusFound {
			out++
		}
	}
	if out != 1 {
		t.Errorf("%d browsers are signed out, want 1", out)
	}

	w.ends("/sso/users/DEMO", 2, 0)
	for _, v := range []*visitor{one, other, third} {
		if got := v.getOnce(page); got.StatusCode != http.StatusFound {
			t.Errorf("still signed in: %s: %s", got.Status, got.body)
		}
	}
	w.ends("/sso/users/nobody", 0, 0)
}

func TestTheAdminAPIRefusesWithAReason(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	for _, c := range []struct {
		name, method, path string
		status             int
		want, allow        string
	}{
		{"an unknown session", http.MethodDelete, "/sso/sessions/0123456789abcdef", http.StatusNotFound, "there is no such session; see: caddy sso session list", ""},
		{"no session", http.MethodDelete, "/sso/sessions/", http.StatusNotFound, "there is no such session", ""},
		{"a session that cannot be one", http.MethodDelete, "/sso/sessions/" + url.PathEscape("../*\x00"), http.StatusNotFound, "there is no such session", ""},
		{"no user", http.MethodDelete, "/sso/users/", http.StatusBadRequest, "the name of the user is missing", ""},
		{"another method for the list", http.MethodPost, "/sso/sessions", http.StatusMethodNotAllowed, "use GET", "GET"},
		{"another method for a session", http.MethodGet, "/sso/sessions/0123456789abcdef", http.StatusMethodNotAllowed, "use DELETE", "DELETE"},
		{"another method for a user", http.MethodPost, "/sso/users/demo", http.StatusMethodNotAllowed, "use DELETE", "DELETE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.ask(c.method, c.path)
			if got.StatusCode != c.status || !strings.Contains(got.body, c.want) || got.Header.Get("Allow") != c.allow {
				t.Errorf("%s, Allow %q: %s", got.Status, got.Header.Get("Allow"), got.body)
			}
		})
	}
}

func TestTheAdminAPIOfACaddyWithoutSSOSaysSo(t *testing.T) {
	w := newWorld(t)
	if err := loadJSON(map[string]any{"admin": map[string]any{"listen": w.admin, "config": map[string]any{"persist": false}}}); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(http.MethodGet, "/sso/sessions"); got.StatusCode != http.StatusNotFound || !strings.Contains(got.body, "the active configuration has no sso") {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

// command runs a `caddy sso` that asks the server, and returns what it prints.
func (w *world) command(args ...string) (string, error) {
	w.t.Helper()
	return w.offline(append(args, "--address", w.admin)...)
}

// offline is command for what asks no server.
func (w *world) offline(args ...string) (string, error) {
	w.t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	printed := make(chan string)
	go func() {
		text, _ := io.ReadAll(read)
		printed <- string(text)
	}()
	stdout := os.Stdout
	os.Stdout = write
	cmd := &cobra.Command{Use: "sso", SilenceErrors: true, SilenceUsage: true}
	caddycmd.Commands()["sso"].CobraFunc(cmd)
	cmd.SetArgs(args)
	err = cmd.Execute()
	os.Stdout = stdout
	write.Close()
	return <-printed, err
}

func TestAListThatBreaksOffIsNotPrinted(t *testing.T) {
	for name, begun := range map[string]string{
		"between two entries": `[{"id":"0123456789abcdef","user":"demo"}`,
		"in an entry":         `[{"id":"0123456789abcdef","user":"de`,
		"before the first":    `[`,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, begun)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}))
			defer server.Close()
			w := &world{t: t, admin: server.Listener.Addr().String()}
			out, err := w.command("session", "list")
			if err == nil || !strings.Contains(err.Error(), "reading the answer of the admin API") || out != "" {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

func TestTheCommandsListAndEndSessions(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	w.visitor().signIn("http://" + w.site + "/")
	id := w.sessions()[0].ID
	out, err := w.command("session", "list")
	if err != nil || !strings.HasPrefix(out, "ID") || !strings.Contains(out, id) || !strings.Contains(out, "players") || strings.Count(out, "demo") != 2 {
		t.Errorf("%v:\n%s", err, out)
	}
	if out, err := w.command("session", "end", id); err != nil || out != "1 ended\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := w.command("session", "end", id); err == nil || !strings.Contains(err.Error(), "HTTP 404") || !strings.Contains(err.Error(), "there is no such session") {
		t.Errorf("ending it again: %v", err)
	}
	if out, err := w.command("user", "end", "demo"); err != nil || out != "1 ended\n" {
		t.Errorf("%q, %v", out, err)
	}
	if n := len(w.sessions()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if _, err := w.command("session", "end"); err == nil || !strings.Contains(err.Error(), "accepts 1 arg") {
		t.Errorf("without an ID: %v", err)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	w.admin = freeAddr(t)
	if _, err := w.command("session", "list"); err == nil || !strings.Contains(err.Error(), "asking the admin API at "+w.admin) {
		t.Errorf("without a server: %v", err)
	}
}

func TestBeyondPerUserTheOldestSessionEnds(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: "session {\nper_user 2\n}"})
	page := "http://" + w.site + "/"
	visitors := []*visitor{w.visitor(), w.visitor(), w.visitor()}
	for _, v := range visitors {
		v.signIn(page)
	}
	for i, v := range visitors {
		if out := v.getOnce(page).StatusCode == http.StatusFound; out != (i == 0) {
			t.Errorf("browser %d is signed out: %v", i, out)
		}
	}
	if n := len(w.sessions()); n != 2 {
		t.Errorf("%d sessions, not 2", n)
	}
}
