package httpapi

import (
	"net/http"
	"net/url"
	"strings"
)

// Prefetches says that a browser loads a page that nobody has asked for yet.
func Prefetches(h http.Header) bool {
	return h.Get("Purpose") == "prefetch" || strings.Contains(h.Get("Sec-Purpose"), "prefetch") || h.Get("X-Moz") == "prefetch"
}

// IsNavigation says that a person sees the answer: a browser navigates to it. Whoever
// says nothing of that, as web views do, is taken for a program.
func IsNavigation(h http.Header) bool {
	return h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
}

// IsNavigationOrScript says that a link or a script asked, not an image or a frame, which
// people can put into what they write on many a site (Fetch Metadata, section
// 2.1).
func IsNavigationOrScript(h http.Header) bool {
	switch h.Get("Sec-Fetch-Dest") {
	case "", "document", "empty":
		return true
	}
	return false
}

// AcceptsHTML says whether a request asks for a page, as browsers do when they
// navigate.
func AcceptsHTML(h http.Header) bool {
	for _, accept := range h["Accept"] {
		if strings.Contains(strings.ToLower(accept), "text/html") {
			return true
		}
	}
	return false
}

// RefererOrigin is the origin of the page that led to a request, "" where the
// browser does not say it. A page can keep its own from being said, and cannot
// have another's said.
func RefererOrigin(h http.Header) string {
	u, err := url.Parse(h.Get("Referer"))
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
