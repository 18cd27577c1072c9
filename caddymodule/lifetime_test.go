package caddymodule

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/storage/file"
)

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in 20 seconds: %s", what)
		}
	}
}

// openable reports whether a store's file is free, as another process would find
// out.
func openable(t *testing.T, path string) bool {
	t.Helper()
	s, err := file.Open(path, file.Options{LockTimeout: 50 * time.Millisecond})
	if err != nil {
		return false
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return true
}

func TestTheLastRequestKeepsItsStoreOpen(t *testing.T) {
	w := newWorld(t)
	arrived, let := make(chan struct{}), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-let
		}
		rw.Write([]byte("from the backend"))
	}))
	defer backend.Close()
	path := filepath.Join(w.dir, "sso.db")
	s := setup{
		storage: "storage file " + path, options: "grace_period 10ms",
		handler: "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://"),
	}
	w.mustLoad(s)
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	old := w.running()
	identity := old.opened.Load().Identity
	type result struct {
		status int
		err    error
	}
	done := make(chan result)
	go func() {
		resp, err := v.Get("http://" + w.site + "/slow")
		if err != nil {
			done <- result{err: err}
			return
		}
		resp.Body.Close()
		done <- result{status: resp.StatusCode}
	}()
	<-arrived
	s.storage = "storage memory"
	w.mustLoad(s)
	if old.opened.Load() != nil {
		t.Error("the old configuration was not cleaned up")
	}
	if references(identity) != 1 || openable(t, path) {
		t.Error("the store was closed under a request that holds it")
	}
	close(let)
	if r := <-done; r.err != nil || r.status != http.StatusOK {
		t.Errorf("the slow request got %d, %v", r.status, r.err)
	}
	eventually(t, "the store is closed after the last request", func() bool { return references(identity) == 0 && openable(t, path) })

	// A late request of the old configuration cannot open it again.
	if _, err := old.runtime(); err == nil {
		t.Error("the old configuration opened the store once more")
	}
	if references(identity) != 0 {
		t.Error("the store is still in use")
	}
}

func TestAStartThatFailsLeaksNothing(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.dir, "sso.db")
	taken, err := net.Listen("tcp", strings.Replace(w.site, "localhost", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := setup{storage: "storage file " + path}
	var before int
	for i := range 8 { // apps start in no fixed order
		if err := w.load(s); err == nil {
			t.Fatal("it started on a port that is taken")
		}
		if n := references("file " + path); n != 0 {
			t.Fatalf("%d hold the store of a configuration that never ran", n)
		}
		if !openable(t, path) {
			t.Fatal("the file is still locked")
		}
		if i == 1 {
			before = runtime.NumGoroutine()
		}
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestAProvisionThatFailsOpensNothing(t *testing.T) {
	w := newWorld(t)
	s := setup{storage: "storage file DIR/sso.db"}
	config, err := adapt(w.caddyfile(s))
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(config), `"client":"1"`, `"client":"2"`, 1)
	if err := caddy.Load([]byte(broken), false); err == nil || !strings.Contains(err.Error(), `client "2" is unknown`) {
		t.Errorf("it was loaded, or: %v", err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "sso.db")); !os.IsNotExist(err) {
		t.Errorf("it made the file: %v", err)
	}
}

// A configuration that cannot run leaves the one that does alone.
func TestAReloadThatFailsChangesNothing(t *testing.T) {
	w := newWorld(t)
	s := setup{storage: "storage file DIR/sso.db"}
	w.mustLoad(s)
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	before := w.running()
	s.sites = "http://" + freeAddr(t) + " {\nbind 192.0.2.1\nrespond no\n}\n"
	if err := w.load(s); err == nil {
		t.Fatal("it listens on an address that this machine does not have")
	}
	if w.running() != before {
		t.Error("another configuration runs")
	}
	if n := references(before.opened.Load().Identity); n != 1 {
		t.Errorf("%d hold the store", n)
	}
	if got := v.getOnce("http://" + w.site + "/"); got.body != "hello demo" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

func TestValidateBesideARunningServerOpensNothing(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.dir, "sso.db")
	other, err := file.Open(path, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, storage := range []string{
		"storage file " + path,
		"storage file " + filepath.Join(w.dir, "none", "sso.db"),
		"storage redis redis://127.0.0.1:1 {\nstorage_key 0123456789abcdef0123456789abcdef\n}",
	} {
		config, err := adapt(w.caddyfile(setup{storage: storage}))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(config); err != nil {
			t.Errorf("%s: %v", storage, err)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "none")); !os.IsNotExist(err) {
		t.Errorf("it made a folder: %v", err)
	}
	if open := appruntime.Identities(); len(open) > 0 {
		t.Errorf("it opened %v", open)
	}
}

func TestAFileThatAnotherProcessHasOpenIsAClearError(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.dir, "sso.db")
	other, err := file.Open(path, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = w.load(setup{storage: "storage file " + path})
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"sso app module: start", path, "another process has the file open", "stop that process"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if n := references("file " + path); n != 0 {
		t.Errorf("%d hold it", n)
	}
}
