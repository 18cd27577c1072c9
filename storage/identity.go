package storage

import "context"

// An Identified store has an identity that changes when the store may have lost
// acknowledged writes. Redis replicates asynchronously: a replica that becomes the
// master may not have the last writes of the old master, and its identity differs.
// The identity may also change for other reasons. A store that lost writes never
// returns to the identity under which it acknowledged them.
type Identified interface {
	// Identity is the last known identity of the server with this key. The store may
	// have another one already. It does no I/O. "" means unknown.
	Identity(key string) string

	// AskIdentity asks the store for its identity. "" means that the store does not tell it.
	AskIdentity(ctx context.Context, key string) (string, error)
}

// Identity is the identity of a store; "" if it has none.
func Identity(s Store, key string) string {
	if i, ok := s.(Identified); ok {
		return i.Identity(key)
	}
	return ""
}

// AskIdentity asks a store for its identity. It returns "" if the store has none.
func AskIdentity(ctx context.Context, s Store, key string) (string, error) {
	if i, ok := s.(Identified); ok {
		return i.AskIdentity(ctx, key)
	}
	return "", nil
}
