package licenseapi

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// routeOf returns the route that a path is, or becomes for a backend that
// normalises it: then it is not exact.
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

// normalised does to a path what some server does: it decodes once more and
// once more, takes \ for /, drops path parameters, what stands behind an
// encoded ? or #, white space and dots at the end of a segment, resolves dot
// segments, and has no case.
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
