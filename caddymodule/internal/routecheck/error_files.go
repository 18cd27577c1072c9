package routecheck

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// servesFilesOf reports whether a file server of an error route may serve files that
// a gate protects: like one of the site, it uses the requested path.
func (p *placement) servesFilesOf(g placedGate, h *placedHandler) bool {
	return h.servesFiles() &&
		!slices.ContainsFunc(p.all, func(o *placedHandler) bool { return o.inErrors() && o.fixesPath(h) }) &&
		slices.ContainsFunc(p.all, func(o *placedHandler) bool {
			return o.servesFiles() && !o.inErrors() && onSameSite(g.placedHandler, o) && !p.open(g, o)
		})
}

func (h routeHandler) servesFiles() bool {
	_, files := h.module.(*fileserver.FileServer)
	return files
}

// fixesPath reports whether a rewrite replaces the whole requested path for another
// handler.
func (p *placedHandler) fixesPath(h *placedHandler) bool {
	r, ok := p.module.(*rewrite.Rewrite)
	if !ok || r.URI == "" || r.URI[0] == '?' || strings.Contains(r.URI, "{http.request.") || !p.before(h) {
		return false
	}
	if !strings.Contains(r.URI, "{http.matchers.file.") {
		return p.guards(h)
	}
	for _, s := range p.steps { // as try_files does
		for _, set := range s.sets {
			for _, m := range set {
				if file, ok := m.(*fileserver.MatchFile); ok {
					return len(file.TryFiles) > 0 && !strings.Contains(strings.Join(file.TryFiles, " "), "{http.request.")
				}
			}
		}
	}
	return false
}
