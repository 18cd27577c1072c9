package httpapi

import (
	"net/http"
	"net/url"
	"strings"
)

// Prefetches reports whether a browser loads a page before the user asks for it.
func Prefetches(h http.Header) bool {
	return h.Get("Purpose") == "prefetch" || strings.Contains(h.Get("Sec-Purpose"), "prefetch") || h.Get("X-Moz") == "prefetch"
}

// IsNavigation reports whether a browser navigates, so that a person sees the answer.
// A request without Fetch Metadata, as some web views send, counts as a program's.
func IsNavigation(h http.Header) bool {
	return h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
}

// IsNavigationOrScript reports whether a link or a script made the request, and not
// an image or a frame. Users of many sites can put images or frames in what they
// write (Fetch Metadata, section 2.1).
func IsNavigationOrScript(h http.Header) bool {
	switch h.Get("Sec-Fetch-Dest") {
	case "", "document", "empty":
		return true
	}
	return false
}

// AcceptsHTML reports whether the request accepts text/html, as browsers do when they
// navigate.
func AcceptsHTML(h http.Header) bool {
	for _, accept := range h["Accept"] {
		if strings.Contains(strings.ToLower(accept), "text/html") {
			return true
		}
	}
	return false
}

// RefererOrigin is the origin of the page that led to a request; "" if the browser
// does not send it. A page can hide its own origin, but cannot claim another one.
func RefererOrigin(h http.Header) string {
	u, err := url.Parse(h.Get("Referer"))
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
