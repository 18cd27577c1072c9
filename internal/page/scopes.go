package page

import "html/template"

// A Scope is one of those that an application asks for, or was given.
type Scope struct {
	Name string
	Text string // the operator's words, which follow "will be able to"; empty: ours
	New  bool   // it was not allowed before, though others were
}

// Basic says that every application knows what the scope tells.
func (s Scope) Basic() bool { return s.Name == "openid" && s.Text == "" }

// scopeTexts are what an application may do with a scope.
var scopeTexts = map[string]Text{
	"openid":         {key: "scope.known"},
	"profile":        {key: "scope.profile"},
	"email":          {key: "scope.email"},
	"groups":         {key: "scope.groups"},
	"offline":        {key: "scope.offline"},
	"offline_access": {key: "scope.offline"},
	"playfab":        {key: "scope.playfab"},
}

// scope says what an application may do with a scope, to follow "will be able to".
func (l *localized) scope(s Scope) (template.HTML, error) {
	if s.Text != "" {
		return escape(s.Text), nil
	}
	if text, known := scopeTexts[s.Name]; known {
		return l.text(text)
	}
	return l.text(Text{"scope.custom", args{"Scope": s.Name}})
}
