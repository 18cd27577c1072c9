package memory

// Kept returns how many values take room, those that have expired included.
func (s *Store) Kept() (n int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += sh.lru.Len() + len(sh.pinned)
		sh.mu.Unlock()
	}
	return n
}
