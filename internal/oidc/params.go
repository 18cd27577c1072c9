package oidc

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

// params are the parameters of a query or form that an endpoint knows. Others are
// ignored (RFC 6749 section 3.1). An empty parameter counts as missing.
type params map[string]string

// parseParams reads the named parameters. A repeated parameter is an error (RFC 6749
// section 3.1), since another parser could use the other value. The error names the
// first fault; the result has the correct parameters.
func parseParams(raw string, names []string) (params, *oauth.Error) {
	p := params{}
	var first *oauth.Error
	wrong := map[string]bool{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		i, value, refusal := httpapi.Param(pair, names)
		if i < 0 {
			continue
		}
		if _, there := p[names[i]]; there && refusal == nil {
			refusal = oauth.InvalidParam(names[i], "is there more than once.")
		}
		if refusal != nil {
			wrong[names[i]] = true
			first = cmp.Or(first, refusal)
		}
		p[names[i]] = value
	}
	for name := range wrong {
		delete(p, name)
	}
	return p, first
}

// encode encodes fields as a query or a fragment. A space becomes %20, which every
// decoder reads as a space.
func encode(fields ...page.Field) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(f.Name + "=" + strings.ReplaceAll(url.QueryEscape(f.Value), "+", "%20"))
	}
	return b.String()
}

// form reads the named parameters of a body. If it cannot, it answers the request and
// returns false.
func (a *API) form(w http.ResponseWriter, r *http.Request, names []string) (params, bool) {
	raw, status, refusal := httpapi.ReadForm(w, r)
	if refusal != nil {
		httpapi.WriteJSON(w, status, errorBody{"invalid_request", refusal.Description})
		return nil, false
	}
	p, refusal := parseParams(raw, names)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return nil, false
	}
	return p, true
}

// navigated turns a POST of a browser into a GET by a redirect. A form of another
// site comes without the session cookie, which is SameSite=Lax; the GET has it. It
// returns true if the request is a GET, which the caller answers.
func (a *API) navigated(w http.ResponseWriter, r *http.Request) bool {
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		raw, status, refusal := httpapi.ReadForm(w, r)
		if refusal != nil {
			a.showProblem(w, r, status, refusal)
			return false
		}
		values, err := httpapi.ParseQuery(raw)
		if err != nil {
			a.showRefusal(w, r, oauth.Invalid("The form is not URL-encoded."))
			return false
		}
		if refusal := a.sealHints(r, values); refusal != nil {
			a.showRefusal(w, r, refusal)
			return false
		}
		httpapi.Redirect(w, http.StatusSeeOther, r.URL.Path+"?"+values.Encode())
		return false
	default:
		w.Header().Set("Allow", "GET, POST")
		a.showProblem(w, r, http.StatusMethodNotAllowed, oauth.Invalid("The request used a method that is not allowed here."))
		return false
	}
	// The answer to an image or a script would be lost (Fetch Metadata, section 2.2).
	if r.Header.Get("Sec-Fetch-Mode") == "no-cors" {
		a.showRefusal(w, r, oauth.Invalid("This address is for navigations, not for an image or another part of a page."))
		return false
	}
	if len(r.URL.RawQuery) > httpapi.MaxQuery {
		a.showRefusal(w, r, httpapi.ErrTooLong)
		return false
	}
	return true
}
