package gate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A state is what the gate remembers about a sign-in. It is sealed in the state
// parameter: the server stores nothing for unauthenticated users.
type state struct {
	ID       string `json:"i"`
	Client   string `json:"c"`
	Origin   string `json:"o"`
	Binder   string `json:"b"` // the browser that the sign-in is bound to
	Begun    int64  `json:"t"` // Unix seconds
	Return   string `json:"r"` // a path of this origin
	Verifier string `json:"v"`
	Window   string `json:"w,omitempty"` // the nonce of the page that opened a window
	Attempt  int    `json:"n,omitempty"` // how often this sign-in was restarted
	Losses   int    `json:"l,omitempty"` // how many sessions were not found before it
	Session  string `json:"s,omitempty"` // the mark of the SSO session that they were of
	After    int64  `json:"a,omitempty"` // since when the user must have been authenticated, in Unix milliseconds
}

// authAfter is since when the user must have been authenticated; zero: any time.
func (s state) authAfter() time.Time {
	if s.After == 0 {
		return time.Time{}
	}
	return time.UnixMilli(s.After)
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (s state) lost() lostSessions {
	return lostSessions{n: s.Losses, page: mark(s.Return), session: s.Session}
}

const (
	stateLabel    = "gate state"
	stateLifetime = time.Hour

	// maxAttempts is the number of attempts at which a sign-in counts as a loop.
	maxAttempts = 3

	// maxAttemptsBound is the same for a browser that keeps its cookie. There, other
	// tabs that sign in at the same time may have replaced the session. The number
	// of redirects stays below the twenty that browsers follow.
	maxAttemptsBound = 7

	// maxReturn bounds, in bytes, the path to come back to: the state must fit in a
	// URL.
	maxReturn = 8 << 10

	binderLifetime = 24 * time.Hour
)

func (g *Gate) seal(ctx context.Context, s state) (string, error) {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false) // escaping makes six bytes of every &
	if err := enc.Encode(s); err != nil {
		return "", fmt.Errorf("sealing the state: %w", err)
	}
	sealed, err := g.Keys.Seal(ctx, stateLabel, plain.Bytes())
	if err != nil {
		return "", fmt.Errorf("sealing the state: %w", err)
	}
	return sealed, nil
}

func (g *Gate) unseal(ctx context.Context, sealed string) (state, error) {
	var s state
	plain, err := g.Keys.Unseal(ctx, stateLabel, sealed)
	if err != nil {
		return s, fmt.Errorf("opening the state: %w", err)
	}
	if err := json.Unmarshal(plain, &s); err != nil {
		return s, fmt.Errorf("opening the state: %w", err)
	}
	return s, nil
}

func randomID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails: crypto/rand aborts the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// binder returns the value that the browser's sign-ins are bound to. It is the same in
// all tabs. A browser that has none gets one.
func (g *Gate) binder(v *request, w http.ResponseWriter, site *Site) string {
	if id, ok := v.cookie(site.Binder); ok && validID(id) {
		return id
	}
	id := randomID()
	site.Binder.Set(w, id, binderLifetime)
	return id
}

func validID(id string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return err == nil && len(raw) == 16
}

// startAtPortal sends the browser to the portal, which sends it back to a path of this
// site.
func (g *Gate) startAtPortal(v *request, w http.ResponseWriter, r *http.Request, site *Site, b signInStart) {
	target, err := g.portalURL(v, w, r, site, b)
	if err != nil {
		g.failed(w, r, err)
		return
	}
	httpapi.Redirect(w, http.StatusFound, target)
}

// A signInStart has the parameters of a sign-in that begins.
type signInStart struct {
	returnTo string
	window   string // the nonce of the page that waits for a window
	attempt  int
	lost     lostSessions
	another  bool // ask for another user, though one is signed in

	authAfter time.Time // since when the user must have been authenticated; zero: any time
}

func (g *Gate) portalURL(v *request, w http.ResponseWriter, r *http.Request, site *Site, b signInStart) (string, error) {
	if site.Portal {
		return g.portalPageURL(r, b)
	}
	verifier := oauth.NewVerifier()
	sealed, err := g.seal(r.Context(), state{
		ID: randomID(), Client: g.Client.ID, Origin: site.Origin, Binder: g.binder(v, w, site),
		Begun: g.Now().Unix(), Return: b.returnTo, Verifier: verifier, Window: b.window, Attempt: b.attempt,
		Losses: b.lost.n, Session: b.lost.session, After: unixMilli(b.authAfter),
	})
	if err != nil {
		return "", err
	}
	q := url.Values{
		"response_type":         {"code"},
		"client_id":             {g.Client.ID},
		"redirect_uri":          {site.URI},
		"scope":                 {strings.Join(g.Client.OnlineScopes(), " ")},
		"audience":              {url.QueryEscape(g.Client.Audiences[0])},
		"state":                 {sealed},
		"code_challenge":        {oauth.Challenge(verifier)},
		"code_challenge_method": {oauth.S256},
	}
	withAuthAfter(q, b.authAfter)
	if b.window != "" {
		q.Set("popup", "true")
	}
	if u := g.Policy.FailAuthURL; u != nil && !b.another {
		q.Set("fail_auth_url", u.String())
	}
	if b.another {
		q.Set("switch", "1")
		return g.Server.Issuer + "/sso/sign_in?" + q.Encode(), nil
	}
	return g.Server.Issuer + "/api/oauth2/auth?" + q.Encode(), nil
}

// portalPageURL is the sign-in page for the portal's own origin. There is no code and
// no callback there.
func (g *Gate) portalPageURL(r *http.Request, b signInStart) (string, error) {
	if b.window != "" {
		b.returnTo = SignedInPath + "?" + url.Values{"window": {b.window}, "return": {b.returnTo}}.Encode()
	}
	target, err := g.PortalSignIn(r.Context(), b.returnTo)
	if err != nil {
		return "", err
	}
	if b.another {
		return oauth.AppendQuery(target, "switch=1"), nil
	}
	if !b.authAfter.IsZero() {
		target = oauth.AppendQuery(target, withAuthAfter(url.Values{}, b.authAfter).Encode())
	}
	if u := g.Policy.FailAuthURL; u != nil {
		return oauth.AppendQuery(u.String(), url.Values{
			"error": {"login_required"}, "error_code": {"003-040"},
			"error_description": {"There is no session. Sign in, then continue at resume."},
			"resume":            {target},
		}.Encode()), nil
	}
	return target, nil
}

// localPath reports whether p is a path of this very origin. Browsers read // and /\ as
// the beginning of a host, and remove control characters first. In a query a backslash
// has no such meaning, and browsers send it unchanged (URL standard, section 4.4);
// sealing writes it twice. A quotation mark is refused, since no browser sends one.
func localPath(p string) bool {
	if len(p) == 0 || p[0] != '/' || strings.Contains(p, `"`) || !oauth.CleanText(p) {
		return false
	}
	if path, query, _ := strings.Cut(p, "?"); strings.Contains(path, `\`) || len(p)+strings.Count(query, `\`) > maxReturn {
		return false
	}
	u, err := url.Parse("http://site.invalid" + p)
	return err == nil && u.Host == "site.invalid" && u.User == nil
}
