package file

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// A process that waits for the lock has the file open. A compacted copy may replace the
// file meanwhile.
func TestAProcessThatWaitsDuringACompactionOpensTheCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sso.db")
	first := open(t, path, Options{})
	if err := first.Put(context.Background(), "key", []byte("value"), time.Hour); err != nil {
		t.Fatal(err)
	}
	type opened struct {
		*handle
		err error
	}
	got := make(chan opened)
	go func() {
		h, err := openHandle(path, bbolt.Options{Timeout: 10 * time.Second, NoFreelistSync: true})
		got <- opened{h, err}
	}()
	for range 100 { // until it has opened the file and waits for the lock
		if openedTwice(t, path) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := first.Compact(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	h := <-got
	if h.err != nil {
		t.Fatal(h.err)
	}
	defer h.close(false)
	has, err := h.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	named, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(has, named) {
		t.Error("it has a file open that was replaced")
	}
}

// openedTwice reports whether two handles of this process have a file open, if the
// system can tell.
func openedTwice(t *testing.T, path string) bool {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return false
	}
	n := 0
	for _, fd := range all {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == path {
			n++
		}
	}
	return n > 1
}
