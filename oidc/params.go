package oidc

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/oauth"
)

// Bounds on what a request may carry, in bytes.
const (
	maxQuery = 32 << 10 // what the hosted page takes
	maxParam = 16 << 10
	maxForm  = 64 << 10
)

// params are the parameters of a query or form that an endpoint knows; others
// are ignored (RFC 6749 section 3.1). An empty one counts as missing.
type params map[string]string

// parseParams reads the named parameters. None may be there twice (RFC 6749
// section 3.1): another parser could take the other one.
func parseParams(raw string, names []string) (params, *oauth.Error) {
	p := params{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !slices.Contains(names, name) {
			continue
		}
		value, err = url.QueryUnescape(value)
		if err != nil || strings.Contains(pair, ";") {
			return nil, badParam(name + " is not URL-encoded.")
		}
		if len(value) > maxParam {
			return nil, badParam(fmt.Sprintf("%s is longer than %d bytes.", name, maxParam))
		}
		if !oauth.CleanText(value) {
			return nil, badParam(name + " has control characters or is not UTF-8.")
		}
		if _, there := p[name]; there {
			return nil, badParam(name + " is there more than once.")
		}
		p[name] = value
	}
	return p, nil
}

// without leaves parameters out of a query, whose others stay as they are.
func without(rawQuery string, names ...string) string {
	var kept []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && name != "" && !slices.Contains(names, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// encode makes a query, or a fragment, of names and values, without those that
// are empty. A space becomes %20, which every decoder reads as a space.
func encode(pairs ...string) string {
	var b strings.Builder
	for ; len(pairs) > 1; pairs = pairs[2:] {
		name, value := pairs[0], pairs[1]
		if value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
	}
	return b.String()
}

// readForm reads a urlencoded body, and says with which status it cannot be
// taken.
func readForm(w http.ResponseWriter, r *http.Request) (raw string, status int, refusal *oauth.Error) {
	if !isForm(r) {
		return "", http.StatusBadRequest, badParam("The body should be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return "", http.StatusRequestEntityTooLarge, badParam("The body is too large.")
	}
	if err != nil {
		return "", http.StatusBadRequest, badParam("The body could not be read.")
	}
	return string(body), http.StatusOK, nil
}

func isForm(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/x-www-form-urlencoded"
}

// form reads the named parameters of a body, and answers by itself where it
// cannot.
func (a *API) form(w http.ResponseWriter, r *http.Request, names []string) (params, bool) {
	raw, status, refusal := readForm(w, r)
	if refusal != nil {
		writeJSON(w, status, errorBody{"invalid_request", refusal.Description})
		return nil, false
	}
	p, refusal := parseParams(raw, names)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return nil, false
	}
	return p, true
}

// navigated answers what browsers are led to by POST. Another site's form comes
// without the session's cookie, which is SameSite=Lax; the GET that it is turned
// into has it. True: the request is a GET, and is to be answered.
func (a *API) navigated(w http.ResponseWriter, r *http.Request) bool {
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		raw, status, refusal := readForm(w, r)
		if refusal != nil {
			a.showProblem(w, r, status, refusal)
			return false
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			a.showRefusal(w, r, badParam("The form is not URL-encoded."))
			return false
		}
		redirect(w, http.StatusSeeOther, r.URL.Path+"?"+values.Encode())
		return false
	default:
		w.Header().Set("Allow", "GET, POST")
		a.showProblem(w, r, http.StatusMethodNotAllowed, badParam("The request used a method that is not allowed here."))
		return false
	}
	// What is asked for an image or a script would reach nobody (Fetch Metadata,
	// section 2.2).
	if r.Header.Get("Sec-Fetch-Mode") == "no-cors" {
		a.showRefusal(w, r, badParam("This address is for navigations, not for an image or another part of a page."))
		return false
	}
	if len(r.URL.RawQuery) > maxQuery {
		a.showRefusal(w, r, errTooLong)
		return false
	}
	return true
}

var errTooLong = badParam("The parameters are too long.")

func badParam(description string) *oauth.Error {
	return &oauth.Error{Kind: oauth.InvalidRequest, Description: description}
}
