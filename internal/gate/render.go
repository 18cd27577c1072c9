package gate

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// A problem is the JSON body of an error, in the form of RFC 6749 section 5.2.
type problem struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	LoginURL    string `json:"login_url,omitempty"`
}

// writeProblem is not httpapi.WriteJSON, since an answer on a backend's site sets no
// Referrer-Policy.
func writeProblem(w http.ResponseWriter, status int, p problem) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(p) //nolint:errcheck // the client went away
}

// refuse answers a request that cannot follow a redirect. It names the URL at which a
// page can begin a sign-in.
func (g *Gate) refuse(w http.ResponseWriter, site *Site) {
	if g.Policy.Bearer {
		w.Header().Set("Www-Authenticate", httpapi.BearerChallenge) // without an error code, since there was no token
	}
	writeProblem(w, http.StatusUnauthorized, problem{
		Error:       "login_required",
		Description: "There is no session. Open login_url in a page, with return set to the path to come back to.",
		LoginURL:    site.Origin + SignInPath,
	})
}

// denial returns why a user may not pass: for the log, which names the rule, and for the
// user, who is not told which rule it is.
func (g *Gate) denial(u *session.User) (why, description string) {
	switch {
	case !g.Client.Accepts(*u):
		return "signed in with " + u.Signin + ", which this client does not accept", errMethod.description
	case g.Policy.Rules.Empty():
		return "in none of the groups " + strings.Join(g.Policy.Groups, ", "), errGroup.description
	}
	if why = g.Policy.Rules.reason(u); why == "" {
		why = "in none of the groups " + strings.Join(g.Policy.Groups, ", ")
	}
	return why, errRule.description
}

// forbid answers a signed-in user who may not pass.
func (g *Gate) forbid(w http.ResponseWriter, r *http.Request, in *oauth.SignedIn) {
	why, description := g.denial(&in.User)
	reason := page.DeniedAccount
	if g.Client.Accepts(in.User) && g.Policy.Rules.Empty() {
		reason = page.DeniedGroups(g.Policy.Groups)
	}
	g.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, User: in.User, Client: g.Client, Session: in.Session, From: g.From(r), Why: why})
	if !navigates(r.Header) {
		writeProblem(w, http.StatusForbidden, problem{Error: "access_denied", Description: description})
		return
	}
	again := url.Values{"switch": {"1"}, "return": {"/"}}
	if back := g.OriginalURI(r); localPath(back) {
		again.Set("return", back)
	}
	denied := page.Denied{
		Person:    personOf(in),
		App:       g.Client.Name,
		Reason:    reason,
		SwitchURL: SignInPath + "?" + again.Encode(),
		SignOut:   page.Form{Action: SignOutPath},
	}
	g.Pages.Denied(w, r, denied)
}

// clientDisabled answers every request while the client is disabled.
func (g *Gate) clientDisabled(w http.ResponseWriter, r *http.Request) {
	const why = "This application is switched off."
	if !navigates(r.Header) {
		writeProblem(w, http.StatusForbidden, problem{Error: "access_denied", Description: why})
		return
	}
	g.Pages.Message(w, r, http.StatusForbidden, page.Message{App: g.Client.Name, Fault: page.FaultAppDisabled})
}

func (g *Gate) refusePath(w http.ResponseWriter, r *http.Request) {
	const why = `The path begins with two slashes, has dot segments, ; \ %2f %5c %3f %23 or a control character in it, or is encoded twice, which this site does not take.`
	if !navigates(r.Header) {
		writeProblem(w, http.StatusBadRequest, problem{Error: "invalid_request", Description: why})
		return
	}
	g.badAddress(w, r, http.StatusBadRequest)
}

// badAddress is for an address that the gate does not take from a person.
func (g *Gate) badAddress(w http.ResponseWriter, r *http.Request, status int) {
	g.Pages.Message(w, r, status, page.Message{
		App: g.Client.Name, Fault: page.FaultBadAddress, Link: &page.Link{Label: page.LinkStartPage, URL: "/"},
	})
}

// unknownHost answers a request for a host that no redirect_uri of the client has.
// The configuration is wrong, or the client invented the host. So the log has it only
// once a minute.
func (g *Gate) unknownHost(w http.ResponseWriter, r *http.Request) {
	const why = "This site is not set up for the host name that you used."
	if n := g.unknownHosts.Due(g.Now()); n > 0 {
		g.Log.Error("no redirect_uri of the client is on this host; add one, or send browsers to a host that has one",
			zap.String("host", printable(r.Host)), zapClient(g.Client), zap.Int("requests", n))
	}
	if !navigates(r.Header) {
		writeProblem(w, http.StatusMisdirectedRequest, problem{Error: "invalid_request", Description: why})
		return
	}
	g.Pages.Message(w, r, http.StatusMisdirectedRequest, page.Message{App: g.Client.Name, Fault: page.FaultUnknownHost})
}

// Unavailable answers a request if the store could not be opened. No other handler
// may see the request: its headers are as the client sent them.
func (g *Gate) Unavailable(w http.ResponseWriter, r *http.Request, err error) { g.failed(w, r, err) }

// failed answers a request that the gate could not decide. The cookie stays, so the
// user stays signed in.
func (g *Gate) failed(w http.ResponseWriter, r *http.Request, err error) {
	g.Log.Error("a gate could not decide", zap.Error(err))
	w.Header().Set("Retry-After", "1")
	if !navigates(r.Header) {
		writeProblem(w, http.StatusServiceUnavailable, problem{
			Error: "temporarily_unavailable", Description: "The session cannot be checked right now. Try again.",
		})
		return
	}
	m := page.Message{App: g.Client.Name, Fault: page.FaultUnavailable}
	if wantsPage(r) {
		m.Retry, m.RetryAfter = &page.Retry{}, time.Second
	} else {
		m.Fault, m.Link = page.FaultFormNotTaken, &page.Link{Label: page.LinkStartPage, URL: "/"}
	}
	g.Pages.Message(w, r, http.StatusServiceUnavailable, m)
}

// tooMany answers the callback of a user who began too many site sessions.
func (g *Gate) tooMany(w http.ResponseWriter, r *http.Request, site *Site, returnTo string, after time.Duration) {
	g.Pages.Message(w, r, http.StatusTooManyRequests, page.Message{
		App: g.Client.Name, Fault: page.FaultTooManySignIns, RetryAfter: after,
		Link: &page.Link{Label: page.LinkTryAgain, URL: site.Origin + returnTo},
	})
}

// unfinished answers a request that is no valid step of a sign-in.
func (g *Gate) unfinished(w http.ResponseWriter, r *http.Request, reason page.Text) {
	g.Pages.Message(w, r, http.StatusBadRequest, page.Message{
		App: g.Client.Name, Fault: page.FaultSignInNotFinished, Reason: reason, Next: page.NextStartAtPage,
		Link: &page.Link{Label: page.LinkStartPage, URL: "/"},
	})
}

func (g *Gate) notAllowed(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	writeProblem(w, http.StatusMethodNotAllowed, problem{
		Error: "invalid_request", Description: "The method is not allowed; use one of " + allow + ".",
	})
}

func zapClient(c *oauth.Client) zap.Field { return zap.String("client", c.ID) }
func zapOrigin(s *Site) zap.Field         { return zap.String("site", s.Origin) }

// printable bounds text that a request brings into the log.
func printable(s string) string {
	if len(s) > 256 || !oauth.CleanText(s) {
		return "(unprintable)"
	}
	return s
}
