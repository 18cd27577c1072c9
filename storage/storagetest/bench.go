package storagetest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Bench benchmarks an engine with as many goroutines as there are cores.
func Bench(b *testing.B, s storage.Store) {
	value := bytes.Repeat([]byte("v"), 250)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("bench:%04d", i)
		if err := s.Put(b.Context(), keys[i], value, long); err != nil {
			b.Fatal(err)
		}
	}
	parallel := func(op func(key string) error) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if err := op(keys[i%len(keys)]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
	}
	b.Run("Get", parallel(func(key string) error {
		_, _, err := s.Get(b.Context(), key)
		return err
	}))
	b.Run("Put", parallel(func(key string) error { return s.Put(b.Context(), key, value, long) }))
	b.Run("PutAndTake", parallel(func(key string) error {
		if err := s.Put(b.Context(), key, value, long); err != nil {
			return err
		}
		_, _, err := s.Take(b.Context(), key)
		return err
	}))
}
