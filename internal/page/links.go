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

// refusedScheme says whether a link with that scheme could run script in the
// page, or show something that only looks like a site. All others may be an
// application's own (RFC 8252 §7.1).
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

// link is an attribute whose value is a link, byte for byte. A template on its
// own would refuse an application's scheme, and percent-encode bytes that may
// stand in a query as they are, such as a backslash or a parenthesis.
func link(attribute, raw string) (template.HTMLAttr, error) {
	if err := checkLink(raw); err != nil {
		return "", err
	}
	return template.HTMLAttr(attribute + `="` + template.HTMLEscapeString(raw) + `"`), nil //nolint:gosec // checked and escaped
}

// opensApplication says whether a link opens an application beside the browser,
// in which the page stays.
func opensApplication(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https"
}

// actionURL checks where a form is posted to: form-action allows this site only.
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

// checkOrigin accepts what postMessage takes as an exact target: never a
// wildcard, never a path.
func checkOrigin(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || raw != u.Scheme+"://"+u.Host ||
		strings.Contains(raw, "*") {
		return errors.New("want an exact origin, such as https://app.example.com")
	}
	return nil
}

// isLocalPath says whether raw stays on this site: browsers read // and /\ as
// the beginning of a host, and drop tabs and line breaks before they look.
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
