package licenseapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// DefaultClockSkew is how far the Date header may be in the past or in the future.
const DefaultClockSkew = 15 * time.Minute

// Bounds on the two headers, in bytes.
const (
	maxAuthorization = 8 << 10
	maxDate          = 64
)

// An APIKey is a key with which requests are signed.
type APIKey struct {
	Shared   SharedKey
	Revoked  bool
	ReadOnly bool // may not begin sign-ins, which activate licenses
}

// A SharedKey signs requests. It cannot be printed.
type SharedKey struct{ secret []byte }

// NewSharedKey is the UTF-8 of a shared key as a vendor's dashboard shows it.
func NewSharedKey(s string) SharedKey { return SharedKey{[]byte(s)} }

// Format keeps the key out of all printed forms.
func (SharedKey) Format(s fmt.State, _ rune) {
	io.WriteString(s, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// unknownKey replaces the key of an unknown API key, so that the comparison takes the
// same time as for a known one.
var unknownKey = NewSharedKey(strings.Repeat("\x00", 40))

// sign is the signature over the raw bytes of a Date header.
func (k SharedKey) sign(date string) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("licenseSpring\ndate: " + date))
	return mac.Sum(nil)
}

// Authorization is the header that signs a request with this Date.
func Authorization(apiKey string, shared SharedKey, date string) string {
	return `algorithm="hmac-sha256", headers="date", signature="` + base64.StdEncoding.EncodeToString(shared.sign(date)) + `", apikey="` + apiKey + `"`
}

// authorized checks the signature of an API key, or a client's own token. If it
// refuses a request, it answers the request itself.
func (a *API) authorized(w http.ResponseWriter, r *http.Request) bool {
	authorization, dates := r.Header["Authorization"], r.Header["Date"]
	if len(authorization) == 0 || authorization[0] == "" || len(dates) == 0 || dates[0] == "" {
		write(w, errMissingHeaders)
		return false
	}
	if len(authorization) > 1 || len(authorization[0]) > maxAuthorization || len(dates) > 1 || len(dates[0]) > maxDate {
		write(w, errInvalidHeaders)
		return false
	}
	if scheme, token, found := strings.Cut(authorization[0], " "); found && strings.EqualFold(scheme, "Bearer") {
		return a.authorizedByToken(w, r, dates[0], strings.TrimSpace(token))
	}
	if wrong := a.checkSignature(authorization[0], dates[0]); wrong != nil {
		write(w, *wrong)
		return false
	}
	return true
}

// checkSignature returns the refusal, if there is one. Only a client that can sign
// with a key learns that the key was revoked.
func (a *API) checkSignature(authorization, date string) *refusal {
	params, ok := parseAuthorization(authorization)
	if !ok {
		return &errInvalidHeaders
	}
	if missing := params.missing(); len(missing) > 0 {
		e := errMissingAuthParams.with(errMissingAuthParams.message + strings.Join(missing, ", "))
		return &e
	}
	if !strings.EqualFold(params.get("algorithm"), "hmac-sha256") {
		return &errHMACRequired
	}
	if !strings.EqualFold(params.get("headers"), "date") {
		return &errInvalidHeaders
	}
	key, known := a.Keys[params.get("apikey")]
	if !known {
		key.Shared = unknownKey
	}
	presented, err := base64.StdEncoding.Strict().DecodeString(params.get("signature"))
	signed := hmac.Equal(presented, key.Shared.sign(date)) && err == nil
	switch {
	case !known:
		return &errAPIKey
	case !signed:
		return &errSignature
	}
	if wrong := a.checkDate(date); wrong != nil {
		return wrong
	}
	switch {
	case key.Revoked:
		return &errRevoked
	case key.ReadOnly:
		return &errReadOnly
	}
	return nil
}

// checkDate compares the Date header with the clock.
func (a *API) checkDate(date string) *refusal {
	sent, ok := parseDate(date)
	if !ok {
		return &errInvalidHeaders
	}
	skew := a.ClockSkew
	if skew <= 0 {
		skew = DefaultClockSkew
	}
	off, direction := a.Now().Sub(sent), "behind"
	switch {
	case off < -skew:
		direction = "ahead of"
	case off <= skew:
		return nil
	}
	e := errDate.with("The Date header is " + off.Abs().Round(time.Second).String() + " " + direction + " the server's clock; at most " + skew.String() + " is accepted")
	return &e
}

// dateLayouts are HTTP dates (RFC 9110 section 5.6.7), and variants that clients
// send: a day without its zero, another name for UTC.
var dateLayouts = [...]string{
	"Mon, 2 Jan 2006 15:04:05 GMT",
	"Mon, 2 Jan 2006 15:04:05 UTC",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"Monday, 2-Jan-06 15:04:05 GMT",
	"Mon Jan _2 15:04:05 2006",
}

func parseDate(s string) (time.Time, bool) {
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// authParams are those of the Authorization header, in the order in which they
// are found missing.
type authParams [len(authNames)]*string

var authNames = [...]string{"algorithm", "headers", "signature", "apikey"}

func (p *authParams) get(name string) string { return *p[slices.Index(authNames[:], name)] }

func (p *authParams) missing() []string {
	var names []string
	for i, v := range p {
		if v == nil || *v == "" {
			names = append(names, authNames[i])
		}
	}
	return names
}

// parseAuthorization reads name="value" pairs between commas. There is no scheme.
// Names are compared without case, since apikey is apiKey, too. Unknown names are
// ignored.
func parseAuthorization(s string) (authParams, bool) {
	var p authParams
	for {
		name, rest, found := strings.Cut(s, `="`)
		name = strings.Trim(name, " \t")
		value, rest, closed := strings.Cut(rest, `"`)
		if !found || !closed || name == "" || strings.Trim(name, authLetters) != "" || strings.Contains(value, `\`) || !oauth.CleanText(value) {
			return p, false
		}
		if i := slices.Index(authNames[:], strings.ToLower(name)); i >= 0 {
			if p[i] != nil {
				return p, false
			}
			p[i] = &value
		}
		if rest = strings.Trim(rest, " \t"); rest == "" {
			return p, true
		}
		if s, found = strings.CutPrefix(rest, ","); !found {
			return p, false
		}
	}
}

const authLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// authorizedByToken accepts a client's own token. Only two codes tell a client that
// another token would help: clients then request one and try again, without end.
func (a *API) authorizedByToken(w http.ResponseWriter, r *http.Request, date, token string) bool {
	if wrong := a.checkDate(date); wrong != nil {
		write(w, *wrong)
		return false
	}
	v, e := a.Server.VerifyAccess(r.Context(), token)
	switch {
	case e == nil:
	case e.Kind != oauth.InvalidToken:
		refuse(w, a.Log, e)
		return false
	case errors.Is(e, oauth.ErrTokenExpired):
		write(w, errTokenExpired)
		return false
	default:
		write(w, errTokenMalformed)
		return false
	}
	// Only a client's own token is valid here. A token for another audience is not:
	// its recipient could use it here.
	if v.Claims.Grant != "" || !slices.Contains(a.BearerClients, v.Client.ID) || !v.ForItsClient() {
		write(w, errInvalidHeaders)
		return false
	}
	return true
}
