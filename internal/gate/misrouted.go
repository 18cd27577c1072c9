package gate

import (
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// misrouted answers a callback whose path, as this gate sees it, is not that of the
// redirect URI. It returns false for any other request. Something before the gate
// strips or rewrites the path. Without this page, each new sign-in would come back to
// the same place with a longer URL. The page of fail_auth_url gets the gate's state,
// too, but no code.
func (g *Gate) misrouted(w http.ResponseWriter, r *http.Request, site *Site) bool {
	asked, rawQuery, _ := strings.Cut(g.OriginalURI(r), "?")
	q, err := url.ParseQuery(rawQuery)
	if err != nil || site.Callback == "" || !q.Has("state") || q.Get("code") == "" {
		return false
	}
	st, err := g.unseal(r.Context(), q.Get("state"))
	if err != nil || st.Client != g.Client.ID || st.Origin != site.Origin || !localPath(st.Return) {
		return false
	}
	g.discard(r, site, q.Get("code"), "it came by another path than that of its redirect URI")
	if n := g.loops.Due(g.Now()); n > 0 {
		g.Log.Warn("a sign-in came back with another path than redirect_uri has: a proxy in front, or handle_path, uri or rewrite before the gate, changes the path; remove that, or set redirect_uri to a URL whose path reaches the gate unchanged",
			zap.String("setting", "redirect_uri"), zap.String("redirect_uri", site.URI),
			zap.String("path_asked_for", printable(asked)), zap.String("path_at_the_gate", printable(r.URL.Path)),
			zapOrigin(site), zapClient(g.Client), zap.Int("sign_ins", n))
	}
	// The assets of this site are not reachable either if its path is changed.
	g.Pages.WithAssetsOf(g.Server.Issuer).Message(w, r, http.StatusBadRequest, page.Message{
		App: g.Client.Name, Fault: page.FaultSignInMisrouted,
		Link:      &page.Link{Label: page.LinkTryAgain, URL: site.Origin + st.Return},
		Reference: "redirect_uri is " + site.URI + ", and its path arrived as " + printable(r.URL.Path),
	})
	return true
}

// misroutedElsewhere is misrouted for a request that the policy does not apply to. The
// backend would get its code.
func (g *Gate) misroutedElsewhere(w http.ResponseWriter, r *http.Request) bool {
	if !strings.Contains(r.URL.RawQuery, "state=") || !wantsPage(r) {
		return false
	}
	site := g.site(r.Host)
	return site != nil && g.misrouted(w, r, site)
}
