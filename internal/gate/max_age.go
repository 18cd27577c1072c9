package gate

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// ShortestMaxAge is the shortest max_age of a gate. Half of it has to be longer than the
// clocks of nodes and providers differ, and than a sign-in takes.
const ShortestMaxAge = 5 * time.Minute

// tooOld reports whether a user was authenticated longer ago than the policy allows. A
// user without a session was authenticated at an unknown time.
func (g *Gate) tooOld(s *session.Session) bool {
	return g.Policy.MaxAge > 0 && (s == nil || g.Now().Sub(s.AuthTime()) > g.Policy.MaxAge)
}

// authAfter is the time since when a user must have been authenticated. Half of the
// longest age is left for the user: a session that is accepted is not too old the next
// moment. The zero value is returned without a max_age.
func (g *Gate) authAfter() time.Time {
	if g.Policy.MaxAge == 0 {
		return time.Time{}
	}
	return g.Now().Add(-g.Policy.MaxAge / 2)
}

// withAuthAfter adds the time since when a user must have been authenticated to a query.
func withAuthAfter(q url.Values, after time.Time) url.Values {
	if !after.IsZero() {
		q.Set(oauth.AuthAfterParam, oauth.FormatAuthAfter(after))
	}
	return q
}

// notReauthenticated answers when a sign-in that had to be a fresh one was not: to send
// the browser back would be a loop.
func (g *Gate) notReauthenticated(w http.ResponseWriter, r *http.Request, returnTo string) {
	again := withAuthAfter(url.Values{"return": {returnTo}}, g.Now())
	g.Pages.Message(w, r, http.StatusForbidden, page.Message{
		App: g.Client.Name, Fault: page.FaultNotSignedInAgain(g.Client.Name),
		Link: &page.Link{Label: page.LinkTryAgain, URL: SignInPath + "?" + again.Encode()},
	})
}

// refuseOld answers a request that cannot follow a redirect, of a user who must sign in
// again (RFC 9470 section 3).
func (g *Gate) refuseOld(w http.ResponseWriter, site *Site) {
	const code, description = "insufficient_user_authentication", "The user signed in too long ago, and must sign in again."
	age := strconv.FormatInt(int64(g.Policy.MaxAge/time.Second), 10)
	w.Header().Set("Www-Authenticate", `Bearer error="`+code+`", error_description="`+description+`", max_age="`+age+`"`)
	again := withAuthAfter(url.Values{}, g.authAfter())
	writeProblem(w, http.StatusUnauthorized, problem{
		Error: code, Description: description + " Open login_url in a page, with return added, the path to come back to.",
		LoginURL: site.Origin + SignInPath + "?" + again.Encode(),
	})
}
