package page

// A Scope is one of those that an application asks for, or was given.
type Scope struct {
	Name string
	Text string // the operator's words, which follow "will be able to"; empty: ours
	New  bool   // it was not allowed before, though others were
}

// InWords says what an application may do with a scope, to follow "will be able to".
func (s Scope) InWords() string {
	if s.Text != "" {
		return s.Text
	}
	switch s.Name {
	case "openid":
		return "know who you are"
	case "profile":
		return "see your name and profile"
	case "email":
		return "see your e-mail address"
	case "groups":
		return "see which groups you are in"
	case "offline", "offline_access":
		return "stay signed in when you are away"
	case "playfab":
		return "connect your PlayFab account"
	}
	return "use " + s.Name
}
