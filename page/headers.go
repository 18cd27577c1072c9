package page

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A policy is what one page is allowed, and who may hold a handle on it.
type policy struct {
	form    bool     // the page posts to its own site
	targets []string // where that post may redirect to, as CSP sources
	images  []string // addresses of images beside the logo
	opener  opener
}

// opener says what becomes of the link between a window and the one that
// opened it (Cross-Origin-Opener-Policy).
type opener int

const (
	// keepsOpener is for pages that a popup shows on its way: cutting the link
	// here would cut it for the widget at the end, too.
	keepsOpener opener = iota

	// cutsOpener is for pages that no popup flow passes.
	cutsOpener

	// opensPopups cuts the link to who opened the page, not to what it opens.
	opensPopups
)

func (p policy) set(h http.Header, csp string) {
	h.Set("Content-Security-Policy", csp)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// With no-referrer, browsers post forms with "Origin: null", which
	// cross-origin protection must refuse.
	h.Set("Referrer-Policy", "no-referrer")
	if p.form {
		h.Set("Referrer-Policy", "same-origin")
	}
	switch p.opener {
	case cutsOpener:
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	case opensPopups:
		h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	case keepsOpener:
		h.Del("Cross-Origin-Opener-Policy")
	}
}

func (p policy) contentSecurity(logoSource string) (string, error) {
	images := []string{"'self'", "data:"}
	if logoSource != "" {
		images = append(images, logoSource)
	}
	for _, raw := range p.images {
		s, err := imageSource(raw)
		if err != nil {
			return "", fmt.Errorf("image %q: %w", raw, err)
		}
		if s != "" && !slices.Contains(images, s) {
			images = append(images, s)
		}
	}
	form := "'none'"
	if p.form {
		form = "'self'"
		for _, target := range p.targets {
			if err := checkSource(target); err != nil {
				return "", fmt.Errorf("form target %q: %w", target, err)
			}
			form += " " + target
		}
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src " + strings.Join(images, " ") +
		"; form-action " + form + "; frame-ancestors 'none'; base-uri 'none'", nil
}

// FormTarget returns the form-action source for a redirect URI: its origin, or
// its scheme alone where the URI has a scheme of its own. Chromium blocks the
// redirect that answers a form unless form-action names its target.
//
// A CSP source cannot spell an IPv6 address, so such a URI gives "http:" or
// "https:".
func FormTarget(redirectURI string) (string, error) {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "", fmt.Errorf("page: form target: %w", err)
	}
	s, err := source(u)
	if err != nil {
		return "", fmt.Errorf("page: form target %q: %w", redirectURI, err)
	}
	return s, nil
}

// source returns u's origin as a CSP source.
func source(u *url.URL) (string, error) {
	s := u.Scheme + ":"
	if (u.Scheme == "http" || u.Scheme == "https") && !strings.Contains(u.Host, "[") {
		s += "//" + u.Host
	}
	return s, checkSource(s)
}

var errSource = errors.New("want scheme://host, scheme://host:port or scheme:, with the host in its ASCII form")

// checkSource accepts scheme://host[:port] and scheme:, and nothing else: no
// wildcard, path, quote, semicolon or space that would say more in a policy.
func checkSource(s string) error {
	scheme, host, hasHost := strings.Cut(s, "://")
	if !hasHost {
		scheme, host, _ = strings.Cut(s, ":")
		if host != "" || scheme+":" != s {
			return errSource
		}
	}
	if !isScheme(scheme) || refusedScheme(scheme) {
		return errSource
	}
	if !hasHost {
		return nil
	}
	name, port, hasPort := strings.Cut(host, ":")
	if name == "" || hasPort && (port == "" || strings.Trim(port, "0123456789") != "") {
		return errSource
	}
	for _, c := range name {
		if !isAlphanumeric(c) && !strings.ContainsRune("-._", c) {
			return errSource
		}
	}
	return nil
}

func isScheme(s string) bool {
	for i, c := range s {
		if !isAlphanumeric(c) && !strings.ContainsRune("+-.", c) || i == 0 && c < 'A' {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
