package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// fill writes many values with a lifetime to a store.
func fill(t *testing.T, s *Store, c *clock, values, size int, lifetime time.Duration) {
	t.Helper()
	for begun := 0; begun < values; begun += 1000 {
		err := s.update(func(w *writing) error {
			for i := begun; i < min(begun+1000, values); i++ {
				if err := w.put(fmt.Sprintf("%s-%d", lifetime, i), make([]byte, size), c.now().Add(lifetime)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestAFileWhoseValuesExpiredBecomesSmall(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "sso.db")
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s := open(t, link, Options{Now: c.now})
	fill(t, s, &c, 6_000, 7000, time.Minute)
	fill(t, s, &c, 500, 100, time.Hour)
	s.shrink()
	before := fileSize(t, path)
	if before < shrinkFrom {
		t.Fatalf("the file has only %d bytes, which is too little for this test", before)
	}
	c.pass(time.Minute)
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	s.shrink()
	s.compacting.Lock()   // the store may compact itself if a minute has passed
	s.compacting.Unlock() //nolint:staticcheck // only wait
	if after := fileSize(t, path); after > before/20 {
		t.Errorf("it had %d bytes, and has %d", before, after)
	}
	if err := s.Put(t.Context(), "later", []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if values, expiries := counts(t, s); values != 501 || expiries != 501 {
			t.Errorf("%d values and %d expiries are left, want 501", values, expiries)
		}
		if found, err := s.Check(t.Context(), nil); err != nil || found.Values != 501 {
			t.Errorf("the check finds %+v, %v", found, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, link, Options{Now: c.now})
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the path is no longer a link: %v, %v", info, err)
	}
}

func TestWritesDuringACompactionAreKept(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "sso.db")
	s := open(t, path, Options{Now: c.now})
	fill(t, s, &c, 5000, 100, time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	type end struct {
		key   string
		value string // "": it was removed
	}
	ends := make(chan end, 8)
	var writers sync.WaitGroup
	for i := range cap(ends) {
		writers.Go(func() {
			var last end
			for n := 0; ctx.Err() == nil; n++ {
				last = end{key: fmt.Sprintf("%s-%d", time.Hour, i*500)}
				if n%3 != 2 {
					last.value = fmt.Sprint(n)
				}
				var err error
				if last.value == "" {
					_, _, err = s.Take(t.Context(), last.key)
				} else {
					err = s.Put(t.Context(), last.key, []byte(last.value), time.Hour)
				}
				if err != nil {
					t.Error(err)
				}
				if _, _, err := s.Get(t.Context(), last.key); err != nil {
					t.Error(err)
				}
			}
			ends <- last
		})
	}
	for range 3 {
		if _, err := s.Compact(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	stop()
	writers.Wait()
	close(ends)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(path, nil); err != nil {
		t.Error(err)
	}
	s = open(t, path, Options{Now: c.now})
	for want := range ends {
		value, ok, err := s.Get(t.Context(), want.key)
		if err != nil || ok != (want.value != "") || string(value) != want.value {
			t.Errorf("%s is %q, %v, %v, want %q", want.key, value, ok, err, want.value)
		}
	}
	if _, err := os.Stat(path + copySuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}
}

func TestACancelledCompactionLeavesTheFileUnchanged(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "sso.db")
	s := open(t, path, Options{Now: c.now})
	fill(t, s, &c, 2000, 100, time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	_, err := s.Compact(ctx, func(string, int64, int64) { stop() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if _, err := os.Stat(path + copySuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}
	if found, err := s.Check(t.Context(), nil); err != nil || found.Values != 2000 {
		t.Errorf("the check finds %+v, %v", found, err)
	}
	if _, err := s.Compact(t.Context(), nil); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// The file of a later release may have more than this release knows.
func TestAFileWithUnknownBucketsIsNotCompacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sso.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("more"))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, Options{})
	if err := s.Put(t.Context(), "a", []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Compact(t.Context(), nil); err == nil {
		t.Error("it is compacted")
	}
	if err := s.Put(t.Context(), "a", []byte("2"), time.Hour); err != nil {
		t.Errorf("afterwards nothing can be written: %v", err)
	}
}

// Earlier releases wrote the list of unused pages in each commit.
func TestAFileWorksAfterAnUpgradeAndAfterADowngrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sso.db")
	earlier := func(want string) {
		t.Helper()
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			if err := createBuckets(tx); err != nil {
				return err
			}
			if record := tx.Bucket(valuesBucket).Get([]byte("later")); (record == nil) != (want == "") {
				return fmt.Errorf("later is %q", record)
			}
			for i := range 3000 {
				if err := write(tx, fmt.Sprint(i), make([]byte, 500), time.Now().Add(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = db.Update(func(tx *bbolt.Tx) error {
				for i := range 2900 {
					if err := remove(tx, fmt.Sprint(i)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"", "1"} {
		earlier(want)
		s := open(t, path, Options{})
		if err := s.Put(t.Context(), "later", []byte("1"), time.Hour); err != nil {
			t.Fatal(err)
		}
		if found, err := s.Check(t.Context(), nil); err != nil || found.Values != 101 {
			t.Errorf("the check finds %+v, %v", found, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// An unfinished copy may be what fills the disk.
func TestOpenRemovesTheCopyOfAKilledCompaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sso.db")
	if err := os.WriteFile(path+copySuffix, make([]byte, pageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, path, Options{})
	if _, err := os.Stat(path + copySuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it still exists: %v", err)
	}
}
