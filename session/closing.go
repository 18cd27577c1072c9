package session

// CloseRequests ends the live requests of users that match, as the end of their
// sessions would. The sessions stay: a user who was taken out of the
// configuration may come back.
func (s *Sessions) CloseRequests(match func(User) bool) {
	matches := func(l *live) bool { return match(l.session.User()) }
	for _, k := range s.cache.live.keys(matches) {
		s.cache.live.endIf(&k, matches)
	}
}
