package signin

import (
	"net/http"
	"slices"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// SessionsPath is the page of where one is signed in. With the query of an
// OpenID Connect request for licensed software it also says which sessions take
// the product's seats, and leads back.
const SessionsPath = "/sso/sessions"

// endOthers is what the button says that ends all sessions but this one.
const endOthers = "others"

// showSessions lists the sessions of who is signed in.
func (h *Hosted) showSessions(w http.ResponseWriter, r *http.Request) {
	in, p, ok := h.ownSessions(w, r)
	if !ok {
		return
	}
	live, err := h.Server.Sessions.OfUser(r.Context(), in.User.Subject)
	if err != nil {
		h.failed(w, err)
		return
	}
	v := page.Sessions{
		Person: *person(in.User), App: p.app(), ContinueURL: AccountPath,
		Form: page.Form{Action: withQuery(SessionsPath, r.URL.RawQuery)},
	}
	var seats []session.Key
	if p.authorization != nil {
		v.ContinueURL = h.continueURL(p)
		if license := p.authorization.License; license != nil {
			if seats, err = h.Server.SeatsTaken(r.Context(), license.Product, live); err != nil {
				h.failed(w, err)
				return
			}
			v.Seats = license.Product.Seats.Limit
			v.Full = v.Seats > 0 && len(seats) >= v.Seats && !slices.Contains(seats, in.Session.Key())
		}
	}
	for _, s := range live {
		v.List = append(v.List, page.OpenSession{
			ID: s.ID(), Device: device(s.Agent()), From: s.From(), Begun: s.Begun(), Seen: s.Seen(),
			Here: s.Key() == in.Session.Key(), Seat: slices.Contains(seats, s.Key()),
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
	h.Pages.Sessions(w, v)
}

// endSessions ends one of one's sessions, or all others.
func (h *Hosted) endSessions(w http.ResponseWriter, r *http.Request) {
	in, _, ok := h.ownSessions(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		h.unreadable(w, err)
		return
	}
	live, err := h.Server.Sessions.OfUser(r.Context(), in.User.Subject)
	if err != nil {
		h.failed(w, err)
		return
	}
	end := r.PostForm.Get("end")
	for _, s := range live {
		here := s.Key() == in.Session.Key()
		if s.ID() != end && (end != endOthers || here) {
			continue
		}
		if err := h.Server.EndSession(r.Context(), oauth.SignedIn{Session: s, User: in.User}, h.From(r)); err != nil {
			h.failed(w, err)
			return
		}
		if here {
			h.Session.Clear(w)
			h.signedOut(w, r)
			return
		}
	}
	// Whatever was not in the list has ended already.
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", withQuery(SessionsPath, r.URL.RawQuery))
	w.WriteHeader(http.StatusSeeOther)
}

// ownSessions finds who is signed in, and what the page was opened for. It
// answers by itself where there is nobody.
func (h *Hosted) ownSessions(w http.ResponseWriter, r *http.Request) (in oauth.SignedIn, p purpose, ok bool) {
	in, ok, done := h.signedIn(w, r, purpose{})
	if done {
		return in, p, false
	}
	if r.URL.RawQuery != "" {
		var refusal *oauth.Error
		if p, refusal = h.purposeOf(r.Context(), OpenIDPath, r.URL.RawQuery); refusal != nil {
			h.refuse(w, refusal)
			return in, p, false
		}
	}
	if !ok {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", signInAddress(p))
		w.WriteHeader(http.StatusSeeOther)
		return in, p, false
	}
	return in, p, true
}

func signInAddress(p purpose) string {
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
