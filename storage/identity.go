package storage

import "context"

// An Identified store tells one history of its values from another. Redis
// replicates asynchronously: a replica that becomes the master goes on from the
// writes that it had, so what was acknowledged last may be gone. Then its
// identity is another one. It may change for less, and is never taken up again
// by a store that went on without what it had acknowledged under it.
type Identified interface {
	// Identity names the history that the value under key is part of, as known
	// from before: the store may have another one for a moment already. It costs
	// no I/O. "" means that it is not known.
	Identity(key string) string

	// AskIdentity asks the store for it. "" means that the store does not tell.
	AskIdentity(ctx context.Context, key string) (string, error)
}

// Identity is that of a store, "" where it has none.
func Identity(s Store, key string) string {
	if i, ok := s.(Identified); ok {
		return i.Identity(key)
	}
	return ""
}

// AskIdentity asks a store for its identity, "" where it has none.
func AskIdentity(ctx context.Context, s Store, key string) (string, error) {
	if i, ok := s.(Identified); ok {
		return i.AskIdentity(ctx, key)
	}
	return "", nil
}
