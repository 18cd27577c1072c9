package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// leaves returns the leaf pages of a bucket in order, and the keys of each.
func leaves(t *testing.T, s *Store, bucket []byte) (ids []uint64, keys [][]string) {
	t.Helper()
	err := s.view(func(tr *tree) error {
		p, i, err := tr.find(tr.root, bucket, new([]byte))
		if err != nil {
			return err
		}
		root, _, err := bucketIn(p, i)
		if err != nil {
			return err
		}
		var walk func(id uint64) error
		walk = func(id uint64) error {
			p, err := tr.read(id, new([]byte), bounds{})
			if err != nil {
				return err
			}
			if p.leaf {
				var of []string
				for i := range p.len {
					of = append(of, string(p.key(i)))
				}
				ids, keys = append(ids, id), append(keys, of)
				return nil
			}
			for i := range p.len {
				if err := walk(p.child(i)); err != nil {
					return err
				}
			}
			return nil
		}
		return walk(root)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, keys
}

// bbolt merges the rest of a page into its neighbour and frees the neighbour, with the
// number of overflow pages in its header.
func TestADamagedNeighbourOfAWrittenPageIsFound(t *testing.T) {
	for name, overflow := range map[string]uint32{"by a page": 1, "by some": 8} {
		t.Run("it is too long "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sso.db")
			s := open(t, path, Options{})
			err := s.update(func(w *writing) error {
				for i := range 600 {
					if err := w.put(fmt.Sprintf("key-%04d", i), make([]byte, 200), time.Now().Add(time.Hour)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			ids, keys := leaves(t, s, valuesBucket)
			const at = 5
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			long := binary.NativeEndian.AppendUint32(nil, overflow)
			if _, err := f.WriteAt(long, int64(ids[at])*pageSize+12); err != nil {
				t.Fatal(err)
			}
			for _, key := range keys[at+1] {
				if _, _, err = s.Take(context.Background(), key); err != nil {
					break
				}
			}
			if !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("all values were taken next to a damaged page: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := verify(path, time.Second); !errors.Is(err, errDamaged) {
				t.Errorf("used pages were freed: %v", err)
			}
		})
	}
}
