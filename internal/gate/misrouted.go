package gate

import (
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// misrouted answers a callback that came by another path than that of the
// redirect URI, as this gate sees it, and says whether it did. Something before
// the gate strips or rewrites the path, so that the next sign-in would come back
// to the same place, with this address in it, and so on until none fits. The page of
// fail_auth_url gets the state of the gate, too, and no code.
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
		g.Log.Warn("a sign-in came back by another path than that of redirect_uri: a proxy in front, or handle_path, uri or rewrite before the gate, changes the path; take that away, or set redirect_uri to an address whose path reaches the gate unchanged",
			zap.String("setting", "redirect_uri"), zap.String("redirect_uri", site.URI),
			zap.String("path_asked_for", printable(asked)), zap.String("path_at_the_gate", printable(r.URL.Path)),
			zapOrigin(site), zapClient(g.Client), zap.Int("sign_ins", n))
	}
	// Whatever changes the path keeps the assets of this site away, too.
	g.Pages.WithAssetsOf(g.Server.Issuer).Message(w, r, http.StatusBadRequest, page.Message{
		App: g.Client.Name, Fault: page.FaultSignInMisrouted,
		Link:      &page.Link{Label: page.LinkTryAgain, URL: site.Origin + st.Return},
		Reference: "redirect_uri is " + site.URI + ", and its path arrived as " + printable(r.URL.Path),
	})
	return true
}

// strayed is misrouted for a request that the policy is not for, whose code the
// backend would get.
func (g *Gate) strayed(w http.ResponseWriter, r *http.Request) bool {
	if !strings.Contains(r.URL.RawQuery, "state=") || !wantsPage(r) {
		return false
	}
	site := g.site(r.Host)
	return site != nil && g.misrouted(w, r, site)
}
