package adminapi

import (
	"errors"
	"net/http"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// LicenseLink is the answer of GET /sso/license/url.
type LicenseLink struct {
	URL string `json:"url"`
}

// licenseURL answers GET /sso/license/url: a link for a license user.
func (a API) licenseURL(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return a.withRuntime(w, r, http.MethodGet, func(c *appruntime.Runtime) error {
		if c.License == nil {
			return adminError(http.StatusNotFound, errors.New("the active configuration has no license"))
		}
		link, refusal := c.License.Link(r.Context(), oauth.LicenseLinkRequest{
			Product: q.Get("product"), Account: q.Get("customer_account"),
			ResponseType: q.Get("response_type"), RedirectURI: q.Get("redirect_uri"),
		})
		switch {
		case refusal == nil:
			return writeAnswer(w, LicenseLink{link})
		case refusal.Kind == oauth.Internal:
			return adminError(http.StatusServiceUnavailable, refusal)
		}
		return adminError(http.StatusBadRequest, refusal)
	})
}
