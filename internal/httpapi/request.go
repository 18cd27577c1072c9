package httpapi

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// Bounds on what a request may carry, in bytes.
const (
	MaxQuery = 32 << 10 // limit of the hosted page, and of what the widget can seal
	maxParam = 16 << 10
)

// ErrTooLong is the error for a query longer than MaxQuery.
var ErrTooLong = oauth.Invalid("The parameters are too long.")

// Param parses one pair of a query or form. It returns the index of its name in
// names, and its value. An unknown name has the index -1 and is no error (RFC 6749
// section 3.1).
func Param(pair string, names []string) (place int, value string, refusal *oauth.Error) {
	name, value, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(name)
	if err != nil {
		return -1, "", nil
	}
	place = slices.Index(names, name)
	if place < 0 {
		return -1, "", nil
	}
	value, err = url.QueryUnescape(value)
	if err != nil {
		return place, "", oauth.InvalidParam(name, "is not URL-encoded.")
	}
	if len(value) > maxParam {
		return place, "", oauth.InvalidParam(name, fmt.Sprintf("is longer than %d bytes.", maxParam))
	}
	if !oauth.CleanText(value) {
		return place, "", oauth.InvalidParam(name, "has control characters or is not UTF-8.")
	}
	return place, value, nil
}

// ParseQuery reads a query or form in which a semicolon may stand unescaped, as
// RFC 3986 section 3.4 allows. url.ParseQuery refuses one, since it separates
// pairs for some programs. For nothing here does it.
func ParseQuery(raw string) (url.Values, error) {
	return url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
}

// WithoutParams leaves parameters out of a query, whose others stay as they
// are. What has no name goes, too.
func WithoutParams(rawQuery string, names ...string) string {
	var kept []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && name != "" && !slices.Contains(names, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// IsForm reports whether the body of a request is urlencoded.
func IsForm(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/x-www-form-urlencoded"
}

// IsUTF8 reports whether a charset of a JSON body is the one that it has to have
// (RFC 8259 section 8.1), however it is written; "" is no charset.
func IsUTF8(charset string) bool {
	return charset == "" || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}
