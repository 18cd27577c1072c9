package oauth

// Kept is how many tokens are remembered.
func (t *VerifiedTokens) Kept() (n int) {
	for i := range t.cache.tokens.shards {
		n += t.cache.tokens.shards[i].lru.Len()
	}
	return n
}
