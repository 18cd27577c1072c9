package keys

import "context"

// A Vault stores named blobs of keys. It is safe for concurrent use, also by several
// nodes that share it. Blobs that go in or out belong to the caller.
type Vault interface {
	// Load returns the blob under name.
	Load(ctx context.Context, name string) (blob []byte, ok bool, err error)

	// Update replaces the blob under name by the result of change, and returns the blob
	// that is stored in the end. Concurrent updates, also by other nodes, happen one
	// after the other. If there is no blob, the argument of change is nil. If change
	// returns nil, the blob stays. Update may call change again if another node was
	// faster. It returns an error of change, and then writes nothing.
	Update(ctx context.Context, name string, change func(old []byte) (next []byte, err error)) ([]byte, error)
}

// A Recaller is a vault that remembers the last content of its blobs, read by itself or
// by an earlier vault. A ring uses it if the vault does not answer, or has lost the
// blobs.
type Recaller interface {
	Recall(name string) (blob []byte, ok bool)
}
