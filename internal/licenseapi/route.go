package licenseapi

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// routeOf returns the route of a path. If the path becomes the route only after a
// backend normalizes it, exact is false.
func routeOf(u *url.URL) (route string, exact bool) {
	trimmed := strings.TrimSuffix(u.Path, "/")
	if slices.Contains(routes, trimmed) && u.EscapedPath() == u.Path {
		return trimmed, true
	}
	if route = normalised(u.Path); slices.Contains(routes, route) {
		return route, false
	}
	return "", false
}

// normalised changes a path as some servers do: it decodes repeatedly, reads \ as /,
// removes path parameters, everything after an encoded ? or #, and white space and
// dots at the end of a segment, resolves dot segments, and ignores case.
func normalised(p string) string {
	for range 3 {
		decoded, err := url.PathUnescape(p)
		if err != nil || decoded == p {
			break
		}
		p = decoded
	}
	if i := strings.IndexAny(p, "?#\x00"); i >= 0 {
		p = p[:i]
	}
	p = path.Clean("/" + strings.ReplaceAll(strings.ToLower(p), `\`, "/"))
	segments := strings.Split(p, "/")
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		s = strings.TrimRight(s, " \t\r\n")
		if s != "." && s != ".." {
			s = strings.TrimRight(s, " \t\r\n.")
		}
		segments[i] = s
	}
	return path.Clean(strings.Join(segments, "/"))
}
