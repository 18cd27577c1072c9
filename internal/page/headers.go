package page

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A policy has what a page is allowed to do, and which windows may have a reference to it.
type policy struct {
	form   bool     // the page posts to its own site
	sends  bool     // the page posts a form of another page of its site
	posts  []string // the page posts only to these sources
	asks   bool     // a script of the page sends requests to its own site
	images []string // URLs of images beside the logo
	opener opener
}

// opener decides about the reference between a window and its opener
// (Cross-Origin-Opener-Policy).
type opener int

const (
	// keepsOpener is for pages that a popup flow passes. Without the reference here,
	// the widget at the end would not have it either.
	keepsOpener opener = iota

	// cutsOpener is for pages that no popup flow passes.
	cutsOpener

	// opensPopups removes the reference to the page's opener, but not those to windows that the page opens.
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
	switch {
	case p.form || p.sends:
		h.Set("Referrer-Policy", "same-origin")
	case p.posts != nil:
		h.Set("Referrer-Policy", "origin")
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

func (p policy) contentSecurity(logoSource, assetSource string) (string, error) {
	images := []string{assetSource, "data:"}
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
	ask := ""
	if p.asks {
		ask = "; connect-src 'self'"
	}
	form := "; form-action 'none'"
	switch {
	case p.form:
		form = "; form-action 'self'"
	case p.posts != nil:
		form = "; form-action " + strings.Join(p.posts, " ")
	case p.sends:
		// The policy of the page whose form it is, which may have none, is for
		// its application to choose: Chromium holds all redirects that follow
		// against it. The script sends to its own origin only.
		form = ""
	}
	return "default-src 'none'; style-src " + assetSource + "; script-src " + assetSource + "; img-src " + strings.Join(images, " ") +
		ask + form + "; frame-ancestors 'none'; base-uri 'none'", nil
}

var errSource = errors.New("want scheme://host or scheme://host:port, with the host in its ASCII form")

// source returns the origin of an http or https URL as a CSP source. It refuses
// wildcards, quotes, semicolons and spaces, which have a meaning in a policy.
//
// A CSP source cannot have an IPv6 address, so the source of such a URL is only its
// scheme.
func source(u *url.URL) (string, error) {
	if strings.HasPrefix(u.Host, "[") {
		return u.Scheme + ":", nil
	}
	name, port, hasPort := strings.Cut(u.Host, ":")
	if name == "" || hasPort && (port == "" || strings.Trim(port, "0123456789") != "") {
		return "", errSource
	}
	for _, c := range name {
		if !isAlphanumeric(c) && !strings.ContainsRune("-._", c) {
			return "", errSource
		}
	}
	return u.Scheme + "://" + u.Host, nil
}

func isAlphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
