package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// fullDisk returns a folder on a small disk of its own, and a function that fills the
// disk.
func fullDisk(t *testing.T) (folder string, fill func()) {
	t.Helper()
	folder = t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("a small disk cannot be mounted:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	return folder, func() {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(folder, "others"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = f.Write(make([]byte, pageSize))
		}
		_ = f.Close()
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// A sign-out and a ban must work when nothing else can be written: one at a time, many
// at once, and after a restart of the server.
func TestClass16OnAFullDiskValuesCanBeRemoved(t *testing.T) {
	folder, fill := fullDisk(t)
	path := filepath.Join(folder, "sso.db")
	s := open(t, path, Options{})
	ctx := context.Background()
	const values = 400
	for i := range values {
		if err := s.Put(ctx, fmt.Sprintf("session:%d", i*7919%values), make([]byte, 700), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	n := 0
	for ; ; n++ {
		err := s.Put(ctx, fmt.Sprintf("more:%d", n), make([]byte, 700), time.Hour)
		if errors.Is(err, storage.ErrUnavailable) && errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil || n > 10_000 {
			t.Fatalf("%d were written: %v", n, err)
		}
	}
	take := func(from, to int) {
		t.Helper()
		var all sync.WaitGroup
		for i := from; i < to; i++ {
			all.Go(func() {
				if _, ok, err := s.Take(ctx, fmt.Sprintf("session:%d", i)); !ok || err != nil {
					t.Errorf("session %d: %v, %v", i, ok, err)
				}
			})
		}
		all.Wait()
	}
	take(0, 1)
	take(1, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fill()
	s = open(t, path, Options{})
	take(100, 101)
	take(101, values)
	if _, err := s.Compact(ctx, nil); err == nil {
		if _, err := s.Check(ctx, nil); err != nil {
			t.Error(err)
		}
	} else if _, err := os.Stat(path + copySuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished copy still exists: %v", err)
	}
	if err := os.Remove(filepath.Join(folder, "others")); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, "room", nil, time.Hour); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(path, nil); err != nil {
		t.Error(err)
	}
}
