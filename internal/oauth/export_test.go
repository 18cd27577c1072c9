package oauth

// Kept is how many tokens are remembered.
func (t *VerifiedTokens) Kept() int { return t.cache.tokens.Len() }
