package page

import "html/template"

// A Scope is a scope that an application asks for, or was granted.
type Scope struct {
	Name string
	Text string // the operator's text, which follows "will be able to"; empty: the text of the catalogue
	New  bool   // not allowed before, although other scopes were
}

// Basic means that every application gets the scope's content anyway.
func (s Scope) Basic() bool { return s.Name == "openid" && s.Text == "" }

// scopeTexts say what an application may do with a scope.
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
