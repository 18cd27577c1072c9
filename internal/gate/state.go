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

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A state is what the gate remembers of a sign-in, sealed into the request's
// state parameter: nothing is stored for strangers.
type state struct {
	ID       string `json:"i"`
	Client   string `json:"c"`
	Origin   string `json:"o"`
	Binder   string `json:"b"` // the browser that it is bound to
	Begun    int64  `json:"t"` // Unix seconds
	Return   string `json:"r"` // a path of this origin
	Verifier string `json:"v"`
	Window   string `json:"w,omitempty"` // the nonce of the page that opened a window
	Turn     int    `json:"n,omitempty"` // how often this sign-in was begun again
	Losses   int    `json:"l,omitempty"` // how many sessions were not found before it
	Session  string `json:"s,omitempty"` // the mark of the SSO session that they were of
}

func (s state) lost() losses { return losses{n: s.Losses, page: mark(s.Return), session: s.Session} }

const (
	stateLabel    = "gate state"
	stateLifetime = time.Hour

	// maxTurns is when a sign-in that is begun again and again is a loop.
	maxTurns = 3

	// maxTurnsBound is the same for a browser that keeps its cookie: other tabs
	// that sign in at the same time replace the session under this one. It
	// keeps the way below the twenty redirects that browsers follow.
	maxTurnsBound = 7

	// maxReturn bounds, in bytes, the path to come back to: state has to fit
	// into an address.
	maxReturn = 8 << 10

	binderLifetime = 24 * time.Hour
)

func (g *Gate) seal(ctx context.Context, s state) (string, error) {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false) // which makes six bytes of every &
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

// binder returns what the browser's sign-ins are bound to, the same in all its
// tabs, and sends it where the browser has none.
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

// begin sends a browser to the portal, to come back to a path of this site.
func (g *Gate) begin(v *request, w http.ResponseWriter, r *http.Request, site *Site, b beginning) {
	target, err := g.portalURL(v, w, r, site, b)
	if err != nil {
		g.failed(w, r, err)
		return
	}
	redirect(w, target)
}

// A beginning is how a sign-in begins.
type beginning struct {
	returnTo string
	window   string // the nonce of the page that waits for a window
	turn     int
	lost     losses
	another  bool // ask even though somebody is signed in
}

func (g *Gate) portalURL(v *request, w http.ResponseWriter, r *http.Request, site *Site, b beginning) (string, error) {
	if site.Portal {
		return g.onPortal(r, b)
	}
	verifier := oauth.NewVerifier()
	sealed, err := g.seal(r.Context(), state{
		ID: randomID(), Client: g.Client.ID, Origin: site.Origin, Binder: g.binder(v, w, site),
		Begun: g.Now().Unix(), Return: b.returnTo, Verifier: verifier, Window: b.window, Turn: b.turn,
		Losses: b.lost.n, Session: b.lost.session,
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

// onPortal is the sign-in method on the portal's own origin, where there is no
// code and no callback.
func (g *Gate) onPortal(r *http.Request, b beginning) (string, error) {
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
	if u := g.Policy.FailAuthURL; u != nil {
		return oauth.AppendQuery(u.String(), url.Values{
			"error": {"login_required"}, "error_code": {"003-040"},
			"error_description": {"There is no session. Sign in, then continue at resume."},
			"resume":            {target},
		}.Encode()), nil
	}
	return target, nil
}

// localPath says whether p is a path of this very origin: browsers read // and
// /\ as the beginning of a host, and drop control characters before they look.
// In a query a backslash has no such meaning, and browsers send it as it is (URL
// standard, section 4.4); sealing writes it twice. Nor has p a quotation mark,
// which no browser sends.
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

func redirect(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", location)
	w.WriteHeader(http.StatusFound)
}
