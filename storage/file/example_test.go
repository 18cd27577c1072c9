package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-sso/caddy-sso/storage/file"
)

// A value survives that the store is closed and opened again.
func Example() {
	folder, err := os.MkdirTemp("", "sso")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "sso.db")
	ctx := context.Background()

	store, err := file.Open(path, file.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Put(ctx, "greeting", []byte("hello"), time.Hour), store.Close())

	store, err = file.Open(path, file.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	value, found, err := store.Get(ctx, "greeting")
	fmt.Println(string(value), found, err)
	// Output:
	// <nil> <nil>
	// hello true <nil>
}
