package gate

import "net/http"

// Headers that some backends use in place of a request's method or path. Matchers do
// not look at them.
var (
	otherMethods = []string{"x-http-method-override", "x-method-override", "x-http-method"}
	otherPaths   = []string{"x-original-url", "x-rewrite-url"}
)

// hasOverride reports whether headers may give a request another method, path or
// protocol.
func hasOverride(h http.Header) bool {
	for name := range h {
		if isUpgrade(name) || isAny(name, otherMethods) || isAny(name, otherPaths) {
			return true
		}
	}
	return false
}

// deleteOverrides deletes headers that name another path, from a request that may pass
// because of its path.
func deleteOverrides(h http.Header) {
	for name := range h {
		if isAny(name, otherPaths) {
			delete(h, name)
		}
	}
}

func isAny(name string, folded []string) bool {
	for _, f := range folded {
		if isFolded(name, f) {
			return true
		}
	}
	return false
}

// isFolded reports whether a header name is a folded one in any spelling.
func isFolded(name, folded string) bool {
	if len(name) != len(folded) {
		return false
	}
	for i := range len(name) {
		if fold(name[i]) != folded[i] {
			return false
		}
	}
	return true
}
