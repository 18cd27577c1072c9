package faults

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// A disk is a small one of its own where that can be mounted.
type disk struct {
	t       *testing.T
	folder  string
	mounted bool
}

// newDisk mounts a disk at a folder.
func newDisk(t *testing.T, folder string) *disk {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &disk{t: t, folder: folder}
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", folder).CombinedOutput()
	if d.mounted = err == nil; !d.mounted {
		t.Logf("no disk can be mounted (%v: %s): folders that nothing can be written to stand for it", err, out)
		t.Cleanup(func() { d.chmod(0o700) })
		return d
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", folder).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return d
}

// fill leaves no byte on the disk.
func (d *disk) fill() {
	d.t.Helper()
	if !d.mounted {
		d.chmod(0o500)
		return
	}
	f, err := os.Create(filepath.Join(d.folder, "filler"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = io.CopyN(f, rand.Reader, int64(size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatal(err)
		}
	}
}

// free undoes fill.
func (d *disk) free() {
	d.t.Helper()
	if !d.mounted {
		d.chmod(0o700)
		return
	}
	if err := os.Remove(filepath.Join(d.folder, "filler")); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) chmod(mode os.FileMode) {
	err := filepath.WalkDir(d.folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// Anyone who is signed in stays so, over reloads and restarts. Keys that are there
// are read without a lock, which would be a file, and the storage is opened
// without a write.
func TestAFullDiskChangesNothingForSignedInUsers(t *testing.T) {
	dir := t.TempDir()
	d := newDisk(t, filepath.Join(dir, "data"))
	if err := os.Symlink(filepath.Join(dir, "data", "config"), filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	c.Storage = "file"
	server, err := harness.Launch(t, c.String(), dir)
	if err != nil {
		t.Fatal(err)
	}
	page := c.Gate + "/"
	known, waiting := harness.NewClient(t), harness.NewClient(t)
	known.SignIn(page, harness.Demo)
	form, err := waiting.Open(page).Form("password")
	if err != nil {
		t.Fatal(err)
	}
	form.Values.Set("username", harness.Demo.Name)
	form.Values.Set("password", harness.Demo.Password)

	d.fill()
	goesOn := func(when string) {
		t.Helper()
		if got := known.Fetch(page); got.Status != http.StatusOK {
			t.Errorf("%s: a signed-in user gets %d: %s", when, got.Status, got.Body)
		}
		if got := harness.NewClient(t).Fetch(page); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: an unauthenticated client gets %d: %s", when, got.Status, got.Body)
		}
	}
	goesOn("full")
	for _, idle := range []string{"2h", "3h", "4h", "5h"} {
		c.Options = "session {\nidle " + idle + "\n}"
		if err := server.TryReload(c.String()); err != nil {
			t.Errorf("a reload: %v", err)
		}
		goesOn("after a reload")
	}
	for name, end := range map[string]func(){"stopped": server.Stop, "killed": server.Kill} {
		for range 2 {
			end()
			if err := server.Up(); err != nil {
				t.Fatalf("%s, it does not start: %v", name, err)
			}
			goesOn(name)
		}
	}
	if d.mounted { // else the file itself can be written
		refused := false
		for i := 0; i < 100 && !refused; i++ { // some find room in the file
			other := harness.NewClient(t)
			form, err := other.Open(page).Form("password")
			if err != nil {
				t.Fatal(err)
			}
			form.Values.Set("username", harness.Demo.Name)
			form.Values.Set("password", harness.Demo.Password)
			got, err := other.Submit(form)
			refused = err == nil && got.Status == http.StatusServiceUnavailable
		}
		if !refused {
			t.Error("no sign-in was refused")
		}
		if got, err := waiting.Submit(form); err != nil || got.Status != http.StatusServiceUnavailable {
			t.Errorf("a sign-in that cannot be written: %v, %+v", err, got)
		}
	}
	goesOn("after a sign-in that failed")

	d.free()
	harness.Eventually(t, "people sign in again", func() bool {
		form, err := waiting.Open(page).Form("password")
		if err == nil {
			form.Values.Set("username", harness.Demo.Name)
			form.Values.Set("password", harness.Demo.Password)
			_, err = waiting.Submit(form)
		}
		return err == nil && waiting.Fetch(page).Status == http.StatusOK
	})
	goesOn("with room again")
}
