package gate

import "net/http"

// What backends take for the method or the path of a request, in place of its
// own. No matcher has seen it.
var (
	otherMethods = []string{"x-http-method-override", "x-method-override", "x-http-method"}
	otherPaths   = []string{"x-original-url", "x-rewrite-url"}
)

// disguised says whether a request may be read as one of another method or path,
// or becomes another protocol.
func disguised(h http.Header) bool {
	for name := range h {
		if isUpgrade(name) || isAny(name, otherMethods) || isAny(name, otherPaths) {
			return true
		}
	}
	return false
}

// undisguise deletes other paths from a request that a gate lets through for its
// path.
func undisguise(h http.Header) {
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

// isFolded says whether a header name is a folded one in any spelling.
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
