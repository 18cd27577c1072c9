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

// A cause is why a sign-in goes round in circles, as far as that can be known.
type cause int

const (
	noCookies  cause = iota // the browser keeps none
	otherHost               // browsers use another address than that of redirect_uri
	wrongClock              // of this node, or of another
	notFound                // what one node stores, the next does not find
)

// A attempt is what is known where a sign-in has to begin again.
type attempt struct {
	Sent       bool          // the browser sent a cookie to bind sign-ins to
	Bound      bool          // and this sign-in is bound to it
	Neighbours bool          // it sent cookies of other gates
	Host       string        // that of the redirect URI
	Named      string        // that which a proxy says the browser uses; may be empty
	Age        time.Duration // of the sign-in; below zero by another node's clock
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

// crowded says that there may be other tabs, which were opened at once and replace
// each other's cookies until all have been answered.
func (t attempt) crowded() bool { return t.Sent && !t.Bound }

// crowdPause is how much longer each turn waits for the other tabs.
const crowdPause = 200 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// tooMany is the turn at which a sign-in is a loop.
func (t attempt) tooMany() int {
	if t.cause() == notFound || t.crowded() {
		return maxTurnsBound
	}
	return maxTurns
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

// A diagnosis is a cause in words: for the person, and for the operator.
type diagnosis struct {
	reason, next page.Text
	log, setting string
}

var diagnoses = map[cause]diagnosis{
	noCookies: {
		reason:  page.ReasonCookies,
		next:    page.NextAllowCookies,
		log:     "the browser sends no cookie back; if none does, redirect_uri has another scheme or host than the address that they use",
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
		log:     "what was just stored is not found: all nodes that serve the portal and this site need the same storage redis and the same users, with the same password hashes; or lifetimes are too short",
		setting: "storage",
	},
}

// redirectLoop ends a sign-in that was begun again and again.
func (g *Gate) redirectLoop(w http.ResponseWriter, r *http.Request, site *Site, why cause, t attempt, returnTo string) {
	d := diagnoses[why]
	if n := g.loops.Due(g.Now()); n > 0 {
		g.Log.Warn("a sign-in was begun again and again: "+d.log, zap.String("setting", d.setting),
			zapOrigin(site), zapClient(g.Client), zap.String("forwarded_host", printable(t.Named)),
			zap.Duration("begun_ago", t.Age), zap.Int("sign_ins", n))
	}
	g.Pages.Message(w, r, http.StatusBadRequest, page.Message{
		App: g.Client.Name, Fault: page.FaultTooManyRedirects, Reason: d.reason, Next: d.next,
		Link: &page.Link{Label: page.LinkTryAgain, URL: site.Origin + returnTo},
	})
}

// lossLifetime is how long a gate remembers that it did not find a session: the
// time that a turn may take which nobody has to do anything in.
const lossLifetime = 10 * time.Second

// losses are how often in a row a page did not find the session that had just
// begun for it, though the SSO session was the same. Tabs that get in each
// other's way are told apart by both.
type losses struct {
	n             int
	page, session string // marks
}

func mark(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// lost counts that a page has a cookie and no session. The first time is none
// to speak of: any session ends.
func (v *request) lost(site *Site, returnTo string) losses {
	if _, had := v.cookie(site.Cookie); !had || site.Portal {
		return losses{}
	}
	l := losses{n: 1, page: mark(returnTo)}
	value, _ := v.cookie(site.Losses)
	switch before := strings.Split(value, "."); {
	case len(before) != 3 || before[1] != l.page:
	case before[0] == "1":
		l.n, l.session = 2, before[2]
	case before[0] == "2":
		l.n, l.session = maxTurns, before[2]
	}
	return l
}

// remember keeps losses for the next turn, in a browser that had any.
func (s *Site) remember(w http.ResponseWriter, l losses, sso session.Key) {
	if l.n == 0 {
		return
	}
	now := mark(string(sso[:]))
	if l.session != now {
		l.n = 1
	}
	s.Losses.Set(w, strconv.Itoa(l.n)+"."+l.page+"."+now, lossLifetime)
}
