package storage_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// A value is created where there is none, and changed where nobody else changed it.
func Example() {
	ctx := context.Background()
	var store storage.Store = memory.New(memory.Options{})
	defer store.Close()

	created, err := store.CompareAndSwap(ctx, "ticket/1", nil, []byte("ada"), time.Minute)
	fmt.Println(created, err)
	created, err = store.CompareAndSwap(ctx, "ticket/1", nil, []byte("bob"), time.Minute)
	fmt.Println(created, err)

	value, found, err := store.Get(ctx, "ticket/1")
	fmt.Println(string(value), found, err)

	_, found, err = store.Get(ctx, "ticket/2") // not found is no error
	fmt.Println(found, err)
	// Output:
	// true <nil>
	// false <nil>
	// ada true <nil>
	// false <nil>
}

// Changes that are made at the same time are all counted.
func ExampleUpdate() {
	ctx := context.Background()
	store := memory.New(memory.Options{})
	defer store.Close()

	storage.Each(100, func(int) {
		err := storage.Update(ctx, store, "visits", time.Hour, func(stored []byte) ([]byte, bool, error) {
			visits := 0
			if stored != nil {
				var err error
				if visits, err = strconv.Atoi(string(stored)); err != nil {
					return nil, false, err
				}
			}
			return strconv.AppendInt(nil, int64(visits+1), 10), true, nil
		})
		if err != nil {
			fmt.Println(err)
		}
	})
	value, _, err := store.Get(ctx, "visits")
	fmt.Println(string(value), err)
	// Output: 100 <nil>
}
