package session

import "slices"

// entries are a stored list's, each of the same size, one after the other. What
// is left over belongs to none.
func entries(stored []byte, size int) [][]byte {
	return slices.Collect(slices.Chunk(stored[:len(stored)-len(stored)%size], size))
}
