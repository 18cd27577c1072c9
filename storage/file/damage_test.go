package file

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

const pageSize = 4096

// filled creates a file with several levels of pages and some values larger than a
// page, and returns its keys.
func filled(t *testing.T, path string) []string {
	t.Helper()
	s := open(t, path, Options{})
	var keys []string
	err := s.update(func(w *writing) error {
		keys = nil
		for i := range 1500 {
			key, size := fmt.Sprintf("key-%d", i*7919%1500), 100
			if i%100 == 0 {
				size = 3 * pageSize
			}
			if err := w.put(key, make([]byte, size), time.Now().Add(time.Hour)); err != nil {
				return err
			}
			keys = append(keys, key)
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return keys
}

// A damageKind is a kind of damage.
type damageKind func(t *testing.T, f *os.File, r *rand.Rand)

func size(t *testing.T, f *os.File) int64 {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func scramble(t *testing.T, f *os.File, r *rand.Rand, from, length int64) {
	t.Helper()
	noise := make([]byte, length)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	if _, err := f.WriteAt(noise, from); err != nil {
		t.Fatal(err)
	}
}

var damagings = map[string]damageKind{
	"a page is scrambled": func(t *testing.T, f *os.File, r *rand.Rand) {
		scramble(t, f, r, r.Int64N(size(t, f)/pageSize)*pageSize, pageSize)
	},
	"all pages are scrambled": func(t *testing.T, f *os.File, r *rand.Rand) { scramble(t, f, r, 0, size(t, f)) },
	"both meta pages are corrupt": func(t *testing.T, f *os.File, r *rand.Rand) {
		scramble(t, f, r, 0, 2*pageSize)
	},
	"the headers of all pages are scrambled": func(t *testing.T, f *os.File, r *rand.Rand) {
		for at := int64(0); at < size(t, f); at += pageSize {
			scramble(t, f, r, at+8, 32)
		}
	},
	"a page has its old content": func(t *testing.T, f *os.File, r *rand.Rand) {
		buf := make([]byte, pageSize)
		pages := size(t, f) / pageSize
		if _, err := f.ReadAt(buf, r.Int64N(pages)*pageSize); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(buf, r.Int64N(pages)*pageSize); err != nil {
			t.Fatal(err)
		}
	},
	"bits are flipped": func(t *testing.T, f *os.File, r *rand.Rand) {
		var b [1]byte
		for range 1 + r.IntN(50) {
			at := r.Int64N(size(t, f))
			if r.IntN(2) == 0 { // most offsets are at the front of a page
				at = at/pageSize*pageSize + r.Int64N(200)
			}
			if _, err := f.ReadAt(b[:], at); err != nil {
				t.Fatal(err)
			}
			b[0] ^= 1 << r.IntN(8)
			if _, err := f.WriteAt(b[:], at); err != nil {
				t.Fatal(err)
			}
		}
	},
	"it is cut off":            func(t *testing.T, f *os.File, r *rand.Rand) { cut(t, f, r.Int64N(size(t, f))) },
	"a page of it is left":     func(t *testing.T, f *os.File, _ *rand.Rand) { cut(t, f, pageSize) },
	"nothing of it is left":    func(t *testing.T, f *os.File, _ *rand.Rand) { cut(t, f, 0) },
	"only the end is cut off":  func(t *testing.T, f *os.File, _ *rand.Rand) { cut(t, f, size(t, f)/2) },
	"a hole is where data was": func(t *testing.T, f *os.File, r *rand.Rand) { n := size(t, f); cut(t, f, r.Int64N(n)); cut(t, f, n) },
}

func cut(t *testing.T, f *os.File, length int64) {
	t.Helper()
	if err := f.Truncate(length); err != nil {
		t.Fatal(err)
	}
}

// damage damages a file.
func (d damageKind) to(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d(t, f, r)
}

const seeds = 4

// eachDamage runs a test with every kind of damage to a copy of one file.
func eachDamage(t *testing.T, test func(t *testing.T, path string, keys []string, d damageKind, r *rand.Rand)) {
	whole := filepath.Join(t.TempDir(), "whole.db")
	keys := filled(t, whole)
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range damagings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				path := filepath.Join(t.TempDir(), "sso.db")
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				test(t, path, keys, d, rand.New(rand.NewPCG(seed, 0)))
			}
		})
	}
}

// use calls all methods of a store from several goroutines. A failure must be an error
// of the right type.
func use(t *testing.T, s *Store, keys []string) {
	t.Helper()
	ctx := context.Background()
	var all sync.WaitGroup
	defer all.Wait()
	for part := range 4 {
		all.Go(func() {
			for i := part; i < len(keys); i += 160 {
				key := keys[i]
				_, _, getErr := s.Get(ctx, key)
				_, missErr := s.CompareAndSwap(ctx, key+"-", nil, []byte("1"), time.Hour)
				putErr := s.Put(ctx, key, make([]byte, i*3), time.Hour)
				_, _, takeErr := s.Take(ctx, keys[(i+1)%len(keys)])
				for _, err := range []error{getErr, missErr, putErr, takeErr} {
					if err != nil && !errors.Is(err, storage.ErrUnavailable) {
						t.Errorf("%v", err)
					}
				}
			}
			if err := s.Scan(ctx, "", func(string, []byte) error { return nil }); err != nil && !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%v", err)
			}
			if err := s.sweep(); err != nil && !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAFileThatIsDamagedWhileItIsOpenIsAnError(t *testing.T) {
	t.Parallel()
	eachDamage(t, func(t *testing.T, path string, keys []string, d damageKind, r *rand.Rand) {
		var told atomic.Int64
		s, err := Open(path, Options{Damaged: func(err error) {
			told.Add(1)
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), remedy) {
				t.Errorf("the error is %v", err)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		d.to(t, path, r)
		use(t, s, keys)
		_, checkErr := s.Check(t.Context(), nil)
		_, compactErr := s.Compact(t.Context(), nil)
		if n := told.Load(); n > 1 || n == 0 && errors.Is(errors.Join(checkErr, compactErr), errDamaged) {
			t.Errorf("damage is reported %d times", n)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		// Another file can replace it, in the same process.
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		open(t, path, Options{LockTimeout: time.Millisecond}).Close()
	})
}

func TestAFileThatIsDamagedIsNotOpened(t *testing.T) {
	t.Parallel()
	eachDamage(t, func(t *testing.T, path string, keys []string, d damageKind, r *rand.Rand) {
		d.to(t, path, r)
		_, checkErr := Check(path, nil)
		s, err := Open(path, Options{LockTimeout: time.Millisecond})
		if err == nil { // the damage is in an unused page, or within a value
			use(t, s, keys)
			if err := s.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
			return
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), remedy) {
			t.Errorf("opening: %v", err)
		}
		if checkErr == nil || !strings.Contains(checkErr.Error(), path) {
			t.Errorf("Check accepts a file that Open refuses: %v", checkErr)
		}
		if _, err := Compact(path, nil); err == nil {
			t.Error("Compact accepts a file that Open refuses")
		}
	})
}
