package methods

import (
	"github.com/caddy-sso/caddy-sso/signin"
)

// Find is the way with an ID, nil where there is none.
func (all List) Find(id string) signin.Method {
	for _, w := range all {
		if w.ID() == id {
			return w
		}
	}
	return all.dynamic(id)
}

// dynamic is the way with an ID among those that come and go.
func (all List) dynamic(id string) signin.Method {
	for _, w := range all {
		if changing, ok := w.(signin.DynamicMethods); ok {
			if found := changing.ByID(id); found != nil {
				return found
			}
		}
	}
	return nil
}

// methodMark is the mark of a way that comes and goes, "" of any other.
func methodMark(method signin.Method) string {
	if HasMark, ok := method.(interface{ Mark() string }); ok {
		return HasMark.Mark()
	}
	return ""
}
