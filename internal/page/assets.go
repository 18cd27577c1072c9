package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

// An asset is a file that pages link to. Its name has a hash of its content, so a URL
// never changes its content.
type asset struct {
	body        []byte
	contentType string
	etag        string
}

// buildAssets returns the assets by hashed name, and the hashed names by plain name.
// The stylesheet and the mark have the accent colour.
func buildAssets(accent rgb) (assets map[string]asset, names map[string]string, err error) {
	assets, names = make(map[string]asset), make(map[string]string)
	for name, contentType := range map[string]string{
		"page.css":       "text/css; charset=utf-8",
		"mark.svg":       "image/svg+xml",
		"continue.js":    "text/javascript; charset=utf-8",
		"formpost.js":    "text/javascript; charset=utf-8",
		"fragment.js":    "text/javascript; charset=utf-8",
		"retry.js":       "text/javascript; charset=utf-8",
		"sendform.js":    "text/javascript; charset=utf-8",
		"sessions.js":    "text/javascript; charset=utf-8",
		"signin.js":      "text/javascript; charset=utf-8",
		"widget.js":      "text/javascript; charset=utf-8",
		"opener.js":      "text/javascript; charset=utf-8",
		"popupsignin.js": "text/javascript; charset=utf-8",
		"popupdone.js":   "text/javascript; charset=utf-8",
		"unsentform.js":  "text/javascript; charset=utf-8",
	} {
		body, err := files.ReadFile("static/" + name)
		if err != nil {
			return nil, nil, fmt.Errorf("page: reading an asset: %w", err)
		}
		switch name {
		case "page.css":
			body = append([]byte(themes(accent)), body...)
		case "mark.svg":
			body = bytes.ReplaceAll(body, []byte("#accent-text"), []byte(textOn(accent).String()))
			body = bytes.ReplaceAll(body, []byte("#accent"), []byte(accent.String()))
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:8])
		extension := path.Ext(name)
		hashed := strings.TrimSuffix(name, extension) + "." + hash + extension
		assets[hashed] = asset{body: body, contentType: contentType, etag: `"` + hash + `"`}
		names[name] = hashed
	}
	return assets, names, nil
}

// Assets serves the assets under the prefix of p.
func (p *Pages) Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, under := strings.CutPrefix(r.URL.Path, p.prefix)
		if !under {
			name = ""
		}
		p.ServeAsset(w, r, name)
	})
}

// ServeAsset serves the asset with that hashed name, or a 404.
func (p *Pages) ServeAsset(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	a, ok := p.assets[name]
	if !ok {
		// A node with an older release may not have it, so the browser may ask again.
		h.Set("Cache-Control", "no-store")
		http.Error(w, "no such asset", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "assets are only read", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Etag", a.etag)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // assets are public; see WithAssetsOf
	// The mark is a document if it is opened by itself.
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}
