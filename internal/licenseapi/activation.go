package licenseapi

import (
	"bytes"
	"crypto/sha256"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// maxBody bounds, in bytes, the body of an activation, which is read into memory.
const maxBody = 1 << 20

// An Activation checks the license credentials in requests to the License API's
// own backend. Its fields are set once.
type Activation struct {
	Server *oauth.Server

	// AllowRawPath passes on, without an identity, a path that becomes one of the
	// routes below only if the backend normalizes it.
	AllowRawPath bool

	// From returns the origin of a request, for the audit log.
	From func(*http.Request) oauth.Origin

	Log *zap.Logger
}

// routes are the routes whose requests may have a credential of this portal, each
// also with a trailing slash.
var routes = []string{
	"/api/v4/activate_license", "/api/v4/activate_bundle",
	"/api/v4/floating/borrow", "/api/v4/floating/feature_borrow",
	"/api/v4/user_licenses",
}

// Check verifies the credential of a request. If it refuses the credential, it
// answers the request and returns done; no backend may see the request. A request
// without one of our credentials may go on without an identity. A body that was read
// is replaced by one with identical bytes.
func (a *Activation) Check(w http.ResponseWriter, r *http.Request) (activated *oauth.Activation, done bool) {
	route, exact := routeOf(r.URL)
	if route == "" || (!exact && a.AllowRawPath) {
		return nil, false
	}
	if !exact {
		write(w, *invalid("The path is not written as the API has it"))
		return nil, true
	}
	body, wrong := readBody(w, r)
	if wrong != nil {
		write(w, *wrong)
		return nil, true
	}
	c, wrong := credentialOf(r, body)
	if wrong == nil && c.present() {
		wrong = c.check()
	}
	if wrong != nil {
		write(w, *wrong)
		return nil, true
	}
	if !c.present() {
		return nil, false
	}
	activated, e := a.Server.Activate(r.Context(), oauth.ActivationRequest{
		Product: c.text("product"), Account: c.text("customer_account_code"),
		Code: c.text("code"), Token: c.text("id_token"), RedirectURI: c.text("redirect_uri"),
		Body: fingerprint(route, r.URL.RawQuery, body), From: a.From(r),
	})
	if e != nil {
		refuse(w, a.Log, e)
		return nil, true
	}
	return activated, false
}

// Ended answers a request whose session ended before the backend answered.
func (*Activation) Ended(w http.ResponseWriter) { write(w, errIDToken) }

// fingerprint identifies a request and its retries.
func fingerprint(route, query string, body []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(route + "?" + query + "\n"))
	h.Write(body)
	return [sha256.Size]byte(h.Sum(nil))
}

// readBody reads the body of a request and puts it back, with a known length and no
// trailer. It returns nil without a body.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	if wrong := checkType(r.Header); wrong != nil {
		return nil, wrong
	}
	if r.ContentLength > maxBody {
		return nil, &errTooLarge
	}
	body, err := httpapi.Body(w, r, maxBody)
	if err != nil {
		switch httpapi.BodyStatus(err) {
		case http.StatusRequestEntityTooLarge:
			return nil, &errTooLarge
		case http.StatusRequestTimeout:
			return nil, &errTooSlow
		}
		return nil, invalid("The body could not be read")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.TransferEncoding, r.Trailer = nil, nil
	r.Header.Set("Content-Length", strconv.Itoa(len(body))) // FastCGI uses it
	r.Header.Del("Trailer")
	r.Header.Del("Expect") // the body has arrived
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	return body, nil
}

// checkType refuses bodies that a backend may understand and this package does not.
func checkType(h http.Header) *refusal {
	for _, line := range h["Content-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return invalid("Content-Encoding should be identity")
			}
		}
	}
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || len(h["Content-Type"]) != 1 || media != "application/json" || !httpapi.IsUTF8(params["charset"]) {
		return invalid("Content-Type should be application/json")
	}
	return nil
}

// A credential names the license user of a request.
type credential map[string]any

// names are the members of a credential.
var names = []string{"id_token", "code", "customer_account_code", "product", "redirect_uri", "license_key", "username"}

// credentialOf reads the credential from the body, or, for user_licenses, from the query.
func credentialOf(r *http.Request, body []byte) (credential, *refusal) {
	if len(body) == 0 {
		return parseQuery(r.URL.RawQuery)
	}
	members, err := parseObject(body)
	if err != nil {
		return nil, &errJSON
	}
	c := credential{}
	for key, value := range members {
		if nearly(key, names) {
			return nil, invalid("There is a key that is nearly one of [" + strings.Join(names, " ") + "]")
		}
		if slices.Contains(names, key) {
			c[key] = value
		}
	}
	inQuery, wrong := parseQuery(r.URL.RawQuery)
	if wrong == nil && len(inQuery) > 0 {
		wrong = invalid("Of body and query, one should have the parameters")
	}
	return c, wrong
}

// parseQuery reads the parameters of a credential. None may be repeated.
func parseQuery(raw string) (credential, *refusal) {
	c := credential{}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil || strings.Contains(pair, ";") {
			return nil, invalid("The parameters are not URL-encoded")
		}
		if nearlyParam(name) {
			return nil, invalid("There is a parameter that is nearly one of [" + strings.Join(names, " ") + "]")
		}
		if !slices.Contains(names, name) {
			continue
		}
		if _, twice := c[name]; twice {
			return nil, invalid(name + " is repeated")
		}
		c[name] = value
	}
	return c, nil
}

// nearlyParam reports whether a framework could take the name of a parameter for
// one of the names: some read code[] and [code] as code, and PHP trims what
// stands before a name and makes _ of spaces, dots and a bracket left open.
func nearlyParam(name string) bool {
	if slices.Contains(names, name) {
		return false
	}
	trimmed := strings.Trim(name, " \t\r\n\v\f[]")
	first, _, _ := strings.Cut(strings.ReplaceAll(trimmed, "]", "["), "[")
	for _, read := range [...]string{first, trimmed} {
		read = strings.Map(func(r rune) rune {
			if strings.ContainsRune(" .[", r) {
				return '_'
			}
			return r
		}, read)
		if slices.Contains(names, read) || nearly(read, names) {
			return true
		}
	}
	return false
}

// has reports whether a member is there: null and "" count as missing.
func (c credential) has(name string) bool { return c[name] != nil && c[name] != "" }

// text is the value of a member that is a string, or "".
func (c credential) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// present reports whether a request has something of a credential of ours.
func (c credential) present() bool {
	return c.has("id_token") || c.has("code") || c.has("customer_account_code")
}

// check returns a refusal unless there is exactly one complete credential.
func (c credential) check() *refusal {
	for _, name := range []string{"id_token", "code", "customer_account_code", "product", "redirect_uri"} {
		if _, text := c[name].(string); c.has(name) && !text {
			return invalid(name + " should be a string")
		}
	}
	switch {
	case c.has("id_token") && c.has("code"):
		return invalid("There should be one of id_token and code")
	case c.has("license_key") || c.has("username"):
		return invalid("There should be one of license_key, username, id_token and code")
	case !c.has("id_token") && !c.has("code"):
		return missingParams("code")
	case !c.has("customer_account_code"):
		return missingParams("customer_account_code")
	case !c.has("product"):
		return missingParams("product")
	}
	return nil
}
