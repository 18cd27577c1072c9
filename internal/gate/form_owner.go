package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// A browser keeps, sealed, who signed in last at a site, so that what was written
// as one person is not sent on as another. It opens nothing. Pages have a word for
// it, which says no more than whether that is still the same.

// formOwnerLifetime is how long a browser knows who signed in last.
const formOwnerLifetime = 30 * 24 * time.Hour

func (g *Gate) formOwnerLabel() string { return "visitor of client " + g.Client.ID }

// formOwner returns the word for a user who is signed in, and has the browser keep
// it.
func (g *Gate) formOwner(v *request, w http.ResponseWriter, r *http.Request, site *Site, u session.User) string {
	kept, _ := v.cookie(site.Visitor)
	if subject, err := g.Keys.Unseal(r.Context(), g.formOwnerLabel(), kept); err == nil && string(subject) == u.Subject {
		return wordFor(kept)
	}
	sealed, err := g.Keys.Seal(r.Context(), g.formOwnerLabel(), []byte(u.Subject))
	if err != nil {
		return "" // nobody: the page asks
	}
	site.Visitor.Set(w, sealed, formOwnerLifetime)
	return wordFor(sealed)
}

// lastFormOwner is the word for who signed in last, "" for nobody.
func (g *Gate) lastFormOwner(v *request, site *Site) string {
	kept, ok := v.cookie(site.Visitor)
	if !ok {
		return ""
	}
	return wordFor(kept)
}

func wordFor(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
