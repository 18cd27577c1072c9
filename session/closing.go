package session

// CloseRequests ends the live requests of users that match, as the end of their
// sessions would. The sessions stay: a user who was taken out of the
// configuration may come back.
func (s *Sessions) CloseRequests(match func(User) bool) {
	s.cache.feed.Requests.EndAll(func(r *request) bool { return match(r.session.User()) })
}
