package methods

import (
	"github.com/caddy-sso/caddy-sso/signin"
)

// Find returns the method with an ID, nil if there is none.
func (all List) Find(id string) signin.Method {
	for _, w := range all {
		if w.ID() == id {
			return w
		}
	}
	return all.dynamic(id)
}

// dynamic returns the method with an ID among the dynamic methods.
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

// methodMark returns the mark of a dynamic method, "" for any other.
func methodMark(method signin.Method) string {
	if marked, ok := method.(interface{ Mark() string }); ok {
		return marked.Mark()
	}
	return ""
}
