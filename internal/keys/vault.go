package keys

import "context"

// A Vault keeps named blobs that hold keys. It is safe for concurrent use, by
// several nodes if they share it. Blobs handed in and out are the caller's.
type Vault interface {
	// Load returns the blob under name.
	Load(ctx context.Context, name string) (blob []byte, ok bool, err error)

	// Update replaces the blob under name by what change makes of it, and
	// returns what is there in the end. Of all nodes one at a time gets its
	// change through. change is given nil if there is no blob, leaves the blob
	// by returning nil, and may be called again if another node was faster. An
	// error of change is returned, and nothing is written.
	Update(ctx context.Context, name string, change func(old []byte) (next []byte, err error)) ([]byte, error)
}

// A Recaller is a vault that can tell what was last seen of its blobs, by it
// or by a vault before it: for when it cannot be asked, or has lost them.
type Recaller interface {
	Recall(name string) (blob []byte, ok bool)
}
