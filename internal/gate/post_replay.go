package gate

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// maxForm bounds, in bytes, a form that is kept during the sign-in.
const maxForm = 64 << 10

// beginForm answers a form that was sent without a session. The browser gets the form
// back and keeps it: the server stores nothing for unauthenticated users.
func (g *Gate) beginForm(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	back := formPage(r, site)
	unsent := page.UnsentForm{
		App: g.Client.Name, SignInURL: SignInPath + "?" + withAuthAfter(url.Values{"return": {back}}, g.authAfter()).Encode(),
	}
	if unsent.Kept, unsent.Why, unsent.Slow = g.keep(w, r, site); unsent.Kept != nil {
		unsent.Kept.ID = randomID()
		unsent.Kept.Visitor = g.lastFormOwner(v, site)
		unsent.Kept.NextURL = sendURL(unsent.Kept.ID, back, g.authAfter())
	}
	g.Pages.UnsentForm(w, r, unsent)
}

// keep returns the form of a request, or says why it is not kept. A form that another
// site sent is never kept: after the sign-in it would be sent for the user, who did not
// write it. Because of SameSite cookies, even a signed-in user's request from another
// site comes here without a session.
func (g *Gate) keep(w http.ResponseWriter, r *http.Request, site *Site) (kept *page.KeptForm, why page.Text, slow bool) {
	action := g.OriginalURI(r)
	switch {
	case g.Policy.DropForms:
		return nil, page.FormNotKept, false
	case !fromSameOrigin(r, site):
		return nil, page.FormCrossOrigin, false
	case r.ContentLength > maxForm:
		return nil, page.FormTooLarge, false
	}
	body, err := httpapi.Body(w, r, maxForm)
	if err != nil {
		status := httpapi.BodyStatus(err)
		if status == http.StatusRequestEntityTooLarge {
			return nil, page.FormTooLarge, false
		}
		return nil, page.FormIncomplete, status == http.StatusRequestTimeout
	}
	form, ok := parseForm(r.Header.Get("Content-Type"), body)
	if !ok || !localPath(action) || r.Header.Get("Content-Encoding") != "" {
		return nil, page.FormNotKept, false
	}
	form.ActionURL = site.Origin + action
	return &form, page.Text{}, false
}

// fromSameOrigin reports whether a page of this very origin sent the form: by Fetch
// Metadata, or by Origin if the browser does not send that. Unlike
// http.CrossOriginProtection it accepts nothing without either.
func fromSameOrigin(r *http.Request, site *Site) bool {
	if from := r.Header.Get("Sec-Fetch-Site"); from != "" {
		return from == "same-origin"
	}
	return r.Header.Get("Origin") == site.Origin
}

// formPage is the path of the page that a form was on.
func formPage(r *http.Request, site *Site) string {
	p, here := strings.CutPrefix(r.Referer(), site.Origin)
	p, _, _ = strings.Cut(p, "#")
	if !here || !localPath(p) || strings.HasPrefix(p, "/oauth2/") || !localPath(sendURL(randomID(), p, time.Now())) {
		return "/"
	}
	return p
}

// sendURL is the address of the page that sends a kept form, for a user who was
// authenticated since a time.
func sendURL(id, back string, after time.Time) string {
	return SendPath + "?" + withAuthAfter(url.Values{"form": {id}, "return": {back}}, after).Encode()
}

// send shows the page that sends a kept form once the user has a session.
func (g *Gate) send(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	q := r.URL.Query()
	id, back := q.Get("form"), q.Get("return")
	after, wrong := oauth.ParseAuthAfter(q.Get(oauth.AuthAfterParam))
	if !validID(id) || !localPath(back) || wrong != nil {
		g.unfinished(w, r, page.ReasonAnswerDamaged)
		return
	}
	if !wantsPage(r) {
		g.refuse(w, site) // a prefetched page would send the form
		return
	}
	in, err := g.identify(v, r, site)
	if err != nil {
		if !errors.Is(err, session.ErrNone) {
			g.failed(w, r, err)
			return
		}
		g.beginPage(v, w, r, site, after, false)
		return
	}
	if !after.IsZero() && !oauth.AuthenticatedSince(in.Session, after) {
		g.beginPage(v, w, r, site, after, true)
		return
	}
	g.Pages.SendForm(w, r, page.SendForm{
		App: g.Client.Name, ID: id, BackURL: site.Origin + back, Visitor: g.formOwner(v, w, r, site, in.User), Person: personOf(in),
	})
}
