package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-sso/caddy-sso/storage/file"
)

// A value survives a restart of the process.
func Example() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "sso.db")
	ctx := context.Background()

	before, err := file.Open(path, file.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(before.Put(ctx, "session/1", []byte("ada"), time.Hour))
	fmt.Println(before.Close())

	after, err := file.Open(path, file.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer after.Close()
	value, found, err := after.Get(ctx, "session/1")
	fmt.Println(string(value), found, err)
	// Output:
	// <nil>
	// <nil>
	// ada true <nil>
}
