package portal

import (
	"net/http"
	"slices"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// SessionsPath is the page with the user's sessions. With the query of an OpenID
// Connect request for licensed software it also shows which sessions use the
// product's seats, and has a link back.
const SessionsPath = "/sso/sessions"

// endOthers is the value of the button that ends all sessions except this one.
const endOthers = "others"

// showSessions lists the sessions of the signed-in user, and the grants that outlive
// them.
func (h *Hosted) showSessions(w http.ResponseWriter, r *http.Request) {
	in, p, ok := h.ownSessions(w, r)
	if !ok {
		return
	}
	live, err := h.Server.LiveSessions(r.Context(), in)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	grants, err := h.Server.PersistentGrants(r.Context(), in)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	allowed, err := h.allowedApps(r, in)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	v := page.Sessions{
		Allowed: allowed,
		Person:  *person(in.User), App: p.app(), ContinueURL: AccountPath,
		Form: page.Form{Action: withQuery(SessionsPath, r.URL.RawQuery)},
	}
	var seats []session.Key
	if p.authorization != nil {
		v.ContinueURL = h.continueURL(p)
		if license := p.authorization.License; license != nil {
			if seats, err = h.Server.SeatsTaken(r.Context(), license.Product, live); err != nil {
				h.failed(w, r, err)
				return
			}
			v.Seats = license.Product.Seats.Limit
			v.Full = v.Seats > 0 && len(seats) >= v.Seats && !slices.Contains(seats, in.Session.Key())
		}
	}
	for _, s := range live {
		v.List = append(v.List, page.OpenSession{
			ID: s.ID(), Device: deviceName(s.Agent()), From: s.From(), Begun: s.Begun(), Seen: s.Seen(),
			Here: s.Key() == in.Session.Key(), Seat: slices.Contains(seats, s.Key()),
		})
	}
	for _, g := range grants {
		app, known := h.appNamed(g.Client)
		v.Access = append(v.Access, page.LastingAccess{
			ID: g.ID, App: app, Gone: !known, Begun: g.Begun, Used: g.Used, Here: g.Session == in.Session.Key(),
		})
	}
	slices.SortStableFunc(v.List, func(a, b page.OpenSession) int {
		switch {
		case a.Here == b.Here:
			return 0
		case a.Here:
			return -1
		}
		return 1
	})
	h.Pages.Sessions(w, r, v)
}

// appNamed returns the display name of an application, or the ID of one that no
// longer exists.
func (h *Hosted) appNamed(id string) (name string, known bool) {
	if c, known := h.Server.Clients.Get(id); known {
		return c.Name, true
	}
	return id, false
}

// endSessions ends one of the user's sessions, with the grants that began in it; or
// one grant; or the consent for an application, with its grants; or all other
// sessions, with all grants and consents.
func (h *Hosted) endSessions(w http.ResponseWriter, r *http.Request) {
	in, _, ok := h.ownSessions(w, r)
	if !ok {
		return
	}
	if !h.readForm(w, r) {
		return
	}
	here, err := h.end(r, in)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	if here {
		h.Session.Clear(w)
		h.signedOut(w, r)
		return
	}
	httpapi.Redirect(w, http.StatusSeeOther, withQuery(SessionsPath, r.URL.RawQuery))
}

// end ends the object of a button of the page, and reports whether that was this
// session. An object that is not found has already ended.
func (h *Hosted) end(r *http.Request, in oauth.SignedIn) (here bool, err error) {
	const byUser = "ended by its user"
	if access := r.PostForm.Get("access"); access != "" {
		return false, h.Server.EndAccess(r.Context(), in, access, h.From(r), byUser)
	}
	if client := r.PostForm.Get("withdraw"); client != "" {
		return false, h.Server.Withdraw(r.Context(), in, client, h.From(r), byUser)
	}
	end := r.PostForm.Get("end")
	if end == endOthers {
		return false, h.Server.SignOutElsewhere(r.Context(), in, h.From(r))
	}
	live, err := h.Server.LiveSessions(r.Context(), in)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(live, func(s *session.Session) bool { return s.ID() == end })
	if i < 0 {
		return false, nil
	}
	_, err = h.Server.EndSessionAndGrants(r.Context(), oauth.SignedIn{Session: live[i], User: in.User}, h.From(r), byUser)
	return live[i].Key() == in.Session.Key(), err
}

// ownSessions finds the signed-in user, and the context of the page. If no user is
// signed in, it answers the request itself.
func (h *Hosted) ownSessions(w http.ResponseWriter, r *http.Request) (in oauth.SignedIn, p signInContext, ok bool) {
	in, ok, done := h.signedIn(w, r, signInContext{})
	if done {
		return in, p, false
	}
	if r.URL.RawQuery != "" {
		var refusal *oauth.Error
		if p, refusal = h.contextOf(r.Context(), OpenIDPath, r.URL.RawQuery); refusal != nil {
			h.refuse(w, r, refusal)
			return in, p, false
		}
	}
	if !ok {
		httpapi.Redirect(w, http.StatusSeeOther, signInAddress(p))
		return in, p, false
	}
	return in, p, true
}

func signInAddress(p signInContext) string {
	if p.request == nil {
		return SignInPath
	}
	return p.address(false)
}

func withQuery(path, rawQuery string) string {
	if rawQuery == "" {
		return path
	}
	return path + "?" + rawQuery
}
