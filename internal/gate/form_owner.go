package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// A sealed cookie names the user who signed in last at a site, so that a form which
// one user wrote is not sent for another. The cookie authorizes nothing. Pages get a
// hash of it, which tells only whether the user is still the same.

// formOwnerLifetime is how long the browser keeps the cookie.
const formOwnerLifetime = 30 * 24 * time.Hour

func (g *Gate) formOwnerLabel() string { return "visitor of client " + g.Client.ID }

// formOwner sets the cookie for the signed-in user, and returns its tag.
func (g *Gate) formOwner(v *request, w http.ResponseWriter, r *http.Request, site *Site, u session.User) string {
	kept, _ := v.cookie(site.FormOwner)
	if subject, err := g.Keys.Unseal(r.Context(), g.formOwnerLabel(), kept); err == nil && string(subject) == u.Subject {
		return ownerTag(kept)
	}
	sealed, err := g.Keys.Seal(r.Context(), g.formOwnerLabel(), []byte(u.Subject))
	if err != nil {
		return "" // no owner: the page asks before it sends the form
	}
	site.FormOwner.Set(w, sealed, formOwnerLifetime)
	return ownerTag(sealed)
}

// lastFormOwner is the tag of the user who signed in last; "" if there is none.
func (g *Gate) lastFormOwner(v *request, site *Site) string {
	kept, ok := v.cookie(site.FormOwner)
	if !ok {
		return ""
	}
	return ownerTag(kept)
}

// ownerTag is a hash that says nothing about the user.
func ownerTag(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
