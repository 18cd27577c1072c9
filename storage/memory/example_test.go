package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// Any number of callers may take a value, and exactly one gets it.
func Example() {
	ctx := context.Background()
	var store storage.Store = memory.New(memory.Options{Capacity: 1000})
	defer store.Close()

	stop := store.Watch(func(c storage.Change) { fmt.Println("changed:", c.Key) })
	defer stop()

	if err := store.Put(ctx, "ticket/1", []byte("ada"), time.Minute); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		value, found, err := store.Take(ctx, "ticket/1")
		fmt.Println(string(value), found, err)
	}
	// Output:
	// changed: ticket/1
	// changed: ticket/1
	// ada true <nil>
	//  false <nil>
}
