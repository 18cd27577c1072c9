package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/storagetest"
)

// A clock is a clock that tests set.
type clock struct{ elapsed atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).Add(time.Duration(c.elapsed.Load()))
}

func (c *clock) pass(d time.Duration) { c.elapsed.Add(int64(d)) }

func open(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Opened {
		var c clock
		s := open(t, filepath.Join(t.TempDir(), "sso.db"), Options{Now: c.now})
		return storagetest.Opened{Store: s, Unit: time.Minute, Pass: c.pass}
	})
}

func TestValuesAndLifetimesSurviveAReopen(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "sso.db")
	s := open(t, path, Options{Now: c.now})
	for key, lifetime := range map[string]time.Duration{"short": time.Minute, "long": time.Hour} {
		if err := s.Put(t.Context(), key, []byte(key), lifetime); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	s = open(t, path, Options{Now: c.now})
	if value, ok, err := s.Get(t.Context(), "long"); string(value) != "long" || !ok || err != nil {
		t.Errorf("long: %q, %v, %v", value, ok, err)
	}
	if _, ok, err := s.Get(t.Context(), "short"); ok || err != nil {
		t.Errorf("short: %v, %v", ok, err)
	}
}

func TestAFileThatIsOpenElsewhereIsAClearError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sso.db")
	open(t, path, Options{})
	_, err := Open(path, Options{LockTimeout: time.Millisecond})
	if err == nil {
		t.Fatal("opened twice")
	}
	for _, part := range []string{path, "another process has the file open", "stop that process"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestFileAndFolderArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "sso.db")
	open(t, path, Options{})
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", name, fi.Mode(), mode)
		}
	}
}

func TestAFileThatCannotBeOpenedIsAnError(t *testing.T) {
	dir := t.TempDir()
	notAStore := filepath.Join(dir, "text")
	if err := os.WriteFile(notAStore, []byte(strings.Repeat("not a store\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, notAStore, filepath.Join(notAStore, "below")} {
		if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), notAStore) && !strings.Contains(err.Error(), dir) {
			t.Errorf("opening %s: %v", path, err)
		}
	}
}

func TestSweepRemovesOnlyExpiredValues(t *testing.T) {
	var c clock
	s := open(t, filepath.Join(t.TempDir(), "sso.db"), Options{Now: c.now})
	const n = sweepBatch + 10
	err := s.update(func(w *writing) error {
		for i := range n {
			if err := w.put(fmt.Sprint(i), []byte("1"), c.now().Add(time.Minute)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"stays", "0"} { // "0" gets a longer lifetime
		if err := s.Put(t.Context(), key, []byte("2"), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	reported := 0
	s.Watch(func(storage.Change) { reported++ })
	c.pass(time.Minute)
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	if values, expiries := counts(t, s); values != 2 || expiries != 2 {
		t.Errorf("%d values and %d expiries left, want 2 and 2", values, expiries)
	}
	if reported != n-1 {
		t.Errorf("%d removals reported, want %d", reported, n-1)
	}
	c.pass(time.Hour)
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	if values, expiries := counts(t, s); values != 0 || expiries != 0 {
		t.Errorf("%d values and %d expiries left, want none", values, expiries)
	}
}

func TestAWrongIndexDoesNotStopTheSweep(t *testing.T) {
	var c clock
	s := open(t, filepath.Join(t.TempDir(), "sso.db"), Options{Now: c.now})
	err := s.update(func(w *writing) error {
		for i := range sweepBatch {
			if err := w.Bucket(expiryBucket).Put(indexKey(fmt.Sprint("ghost-", i), c.now()), []byte{}); err != nil {
				return err
			}
		}
		if err := w.Bucket(expiryBucket).Put(indexKey("stays", c.now()), []byte{}); err != nil {
			return err
		}
		if err := w.put("stays", []byte("1"), c.now().Add(time.Hour)); err != nil {
			return err
		}
		return w.put("goes", []byte("1"), c.now().Add(time.Minute))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(t.Context(), nil); !errors.Is(err, errIndex) {
		t.Errorf("the check finds %v", err)
	}
	c.pass(time.Minute)
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	if values, expiries := counts(t, s); values != 1 || expiries != 1 {
		t.Errorf("%d values and %d expiries are left, want one of each", values, expiries)
	}
}

func TestTheExpiryIndexFollowsEveryWrite(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "sso.db"), Options{})
	ctx := t.Context()
	for i := range 3 {
		if err := s.Put(ctx, "a", []byte("1"), time.Duration(i+1)*time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CompareAndSwap(ctx, "a", []byte("1"), []byte("2"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if values, expiries := counts(t, s); values != 1 || expiries != 1 {
		t.Errorf("%d values and %d expiries, want one of each", values, expiries)
	}
	if _, _, err := s.Take(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if values, expiries := counts(t, s); values != 0 || expiries != 0 {
		t.Errorf("%d values and %d expiries, want none", values, expiries)
	}
}

func TestCallsDuringCloseSucceedOrReturnErrClosed(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "sso.db"), Options{})
	begun, ended := make(chan struct{}, 8), make(chan error, 8)
	for i := range cap(ended) {
		go func() {
			for n := 0; ; n++ {
				err := s.Put(t.Context(), fmt.Sprint(i), []byte("1"), time.Hour)
				if n == 0 {
					begun <- struct{}{}
				}
				if err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	for range cap(begun) {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(ended) {
		if err := <-ended; !errors.Is(err, storage.ErrClosed) {
			t.Errorf("%v; want ErrClosed", err)
		}
	}
}

func counts(t *testing.T, s *Store) (values, expiries int) {
	t.Helper()
	err := s.open.db.View(func(tx *bbolt.Tx) error {
		values = tx.Bucket(valuesBucket).Stats().KeyN
		expiries = tx.Bucket(expiryBucket).Stats().KeyN
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values, expiries
}

func BenchmarkStore(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "sso.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	storagetest.Bench(b, s)
}
