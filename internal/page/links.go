package page

import (
	"errors"
	"fmt"
	"html/template"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// refusedScheme reports whether a link with that scheme could run a script in the
// page, or show content that looks like a site. Any other scheme may belong to an
// application (RFC 8252 section 7.1).
func refusedScheme(scheme string) bool {
	return slices.Contains([]string{
		"about", "blob", "chrome", "data", "file", "filesystem", "ftp", "javascript", "jar",
		"livescript", "mocha", "resource", "vbscript", "view-source", "ws", "wss",
	}, strings.ToLower(scheme))
}

// checkLink accepts absolute paths, http and https URLs, and an application's
// own scheme.
func checkLink(raw string) error {
	if isLocalPath(raw) {
		return nil
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("not a URL") // the parser's own words repeat the URL, which may hold a code
	case u.User != nil:
		return errors.New("a link may not carry user information")
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host == "" {
			return errors.New("a link needs a host")
		}
	case u.Scheme == "" || refusedScheme(u.Scheme):
		return fmt.Errorf("a link with scheme %q is refused: want https, http, an absolute path or an application's own scheme", u.Scheme)
	}
	return nil
}

// link is an attribute whose value is a link, byte for byte. A template by itself
// would refuse custom schemes, and percent-encode bytes that are allowed in a query,
// such as a backslash or a parenthesis.
func link(attribute, raw string) (template.HTMLAttr, error) {
	if err := checkLink(raw); err != nil {
		return "", err
	}
	return template.HTMLAttr(attribute + `="` + template.HTMLEscapeString(raw) + `"`), nil //nolint:gosec // checked and escaped
}

// opensApplication reports whether a link opens an application beside the browser, so
// that the page stays.
func opensApplication(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https"
}

// actionURL checks the URL of a form: form-action allows only this site.
func actionURL(raw string) (template.URL, error) {
	if !isLocalPath(raw) {
		return "", errors.New("a form's action must be an absolute path")
	}
	return template.URL(raw), nil //nolint:gosec // checked above
}

func imageURL(raw string) (template.URL, error) {
	if _, err := imageSource(raw); err != nil {
		return "", err
	}
	return template.URL(raw), nil //nolint:gosec // checked above
}

// checkOrigin accepts an exact target of postMessage: no wildcard and no path.
func checkOrigin(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || raw != u.Scheme+"://"+u.Host ||
		strings.Contains(raw, "*") {
		return errors.New("want an exact origin, such as https://app.example.com")
	}
	return nil
}

// isLocalPath reports whether raw is a path of this site. Browsers read // and /\ as
// the beginning of a host, and remove tabs and line breaks first.
func isLocalPath(raw string) bool {
	if !strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, "//") || strings.HasPrefix(raw, `/\`) {
		return false
	}
	_, err := url.Parse(raw) // refuses control characters
	return err == nil
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
