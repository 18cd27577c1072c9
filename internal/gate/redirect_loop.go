package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// A cause is the probable reason of a redirect loop.
type cause int

const (
	noCookies  cause = iota // the browser keeps no cookies
	otherHost               // browsers use another address than redirect_uri has
	wrongClock              // the clock of this node, or of another one, is wrong
	notFound                // one node does not find what another node stored
)

// An attempt is what the gate knows about a sign-in that has to begin again.
type attempt struct {
	Sent       bool          // the browser sent the cookie that binds sign-ins to it
	Bound      bool          // this sign-in is bound to that cookie
	Neighbours bool          // the browser sent cookies of other gates
	Host       string        // the host of the redirect URI
	Named      string        // the host in X-Forwarded-Host; may be empty
	Age        time.Duration // of the sign-in; negative if another node's clock is ahead
}

func (t attempt) cause() cause {
	switch {
	case t.Bound && (t.Age > stateLifetime || t.Age < -oauth.ClockLeeway):
		return wrongClock
	case t.Bound:
		return notFound
	case t.Sent, t.Neighbours, t.Named != "" && !strings.EqualFold(t.Named, t.Host):
		return otherHost
	}
	return noCookies
}

// crowded reports whether other tabs may be signing in at the same time. They replace
// each other's cookies until each has been answered.
func (t attempt) crowded() bool { return t.Sent && !t.Bound }

// crowdPause is how much longer each attempt waits for the other tabs.
const crowdPause = 200 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// tooMany is the number of attempts at which a sign-in counts as a loop.
func (t attempt) tooMany() int {
	if t.cause() == notFound || t.crowded() {
		return maxAttemptsBound
	}
	return maxAttempts
}

func (g *Gate) attemptOf(v *request, r *http.Request, site *Site, st state) attempt {
	id, sent := v.cookie(site.Binder)
	named, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Host"), ",")
	return attempt{
		Sent: sent && id != "", Bound: sent && id != "" && id == st.Binder, Neighbours: session.HasOwn(v.cookies),
		Host: site.Host, Named: strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(named), ":443"), ":80"),
		Age: g.Now().Sub(time.Unix(st.Begun, 0)),
	}
}

// A diagnosis explains a cause to the user, and to the operator.
type diagnosis struct {
	reason, next page.Text
	log, setting string
}

var diagnoses = map[cause]diagnosis{
	noCookies: {
		reason:  page.ReasonCookies,
		next:    page.NextAllowCookies,
		log:     "the browser sends no cookie back; if this happens with every browser, redirect_uri has another scheme or host than the address that they use",
		setting: "redirect_uri",
	},
	otherHost: {
		reason:  page.ReasonWrongHost,
		next:    page.NextTryAgainOrTell,
		log:     "redirect_uri has another scheme, host or port than the address that browsers use",
		setting: "redirect_uri",
	},
	wrongClock: {
		reason:  page.ReasonWrongClock,
		next:    page.NextTryLaterOrTell,
		log:     "the clock of this node, or of another that serves this site, is wrong; set them by NTP",
		setting: "the clock",
	},
	notFound: {
		reason:  page.ReasonSessionMissing,
		next:    page.NextTryLaterOrTell,
		log:     "the sign-in was stored, but is not found: all nodes that serve the portal and this site need the same storage redis and the same users, with the same password hashes; or lifetimes are too short",
		setting: "storage",
	},
}

// redirectLoop ends a sign-in that was begun too many times.
func (g *Gate) redirectLoop(w http.ResponseWriter, r *http.Request, site *Site, why cause, t attempt, returnTo string) {
	d := diagnoses[why]
	if n := g.loops.Due(g.Now()); n > 0 {
		g.Log.Warn("redirect loop: "+d.log, zap.String("setting", d.setting),
			zapOrigin(site), zapClient(g.Client), zap.String("forwarded_host", printable(t.Named)),
			zap.Duration("begun_ago", t.Age), zap.Int("sign_ins", n))
	}
	g.Pages.Message(w, r, http.StatusBadRequest, page.Message{
		App: g.Client.Name, Fault: page.FaultTooManyRedirects, Reason: d.reason, Next: d.next,
		Link: &page.Link{Label: page.LinkTryAgain, URL: site.Origin + returnTo},
	})
}

// lossLifetime is how long a gate remembers that it did not find a session. An attempt
// takes less time if the user has to do nothing.
const lossLifetime = 10 * time.Second

// lostSessions counts how often in a row the site session of a page was not found just
// after it had begun, while the SSO session stayed the same. The marks of page and SSO
// session tell several tabs apart.
type lostSessions struct {
	n             int
	page, session string // marks
}

func mark(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// lost counts a request for a page that has a cookie but no session. The first time
// proves nothing: every session ends some day.
func (v *request) lost(site *Site, returnTo string) lostSessions {
	if _, had := v.cookie(site.Cookie); !had || site.Portal {
		return lostSessions{}
	}
	l := lostSessions{n: 1, page: mark(returnTo)}
	value, _ := v.cookie(site.NotFound)
	switch before := strings.Split(value, "."); {
	case len(before) != 3 || before[1] != l.page:
	case before[0] == "1":
		l.n, l.session = 2, before[2]
	case before[0] == "2":
		l.n, l.session = maxAttempts, before[2]
	}
	return l
}

// remember keeps the count for the next attempt, if there is one.
func (s *Site) remember(w http.ResponseWriter, l lostSessions, sso session.Key) {
	if l.n == 0 {
		return
	}
	now := mark(string(sso[:]))
	if l.session != now {
		l.n = 1
	}
	s.NotFound.Set(w, strconv.Itoa(l.n)+"."+l.page+"."+now, lossLifetime)
}
