package httpapi

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// NoStore forbids caches to store an answer with a code, a token or a cookie.
func NoStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
}

// WriteJSON answers with JSON that caches must not store.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	NoStore(w.Header())
	encode(w, status, "application/json", v)
}

// WritePublic answers with a public document that caches may keep for five minutes.
// That is short enough: a key is published a day before it is used.
func WritePublic(w http.ResponseWriter, contentType string, v any) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	encode(w, http.StatusOK, contentType, v)
}

func encode(w http.ResponseWriter, status int, contentType string, v any) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(v) //nolint:errcheck // the client went away
}

// WriteEmpty answers with a status and no body.
func WriteEmpty(w http.ResponseWriter, status int) {
	NoStore(w.Header())
	w.WriteHeader(status)
}

// Redirect answers with a redirect.
func Redirect(w http.ResponseWriter, status int, location string) {
	// The headers of NoStore and the location, in one allocation.
	v := []string{"no-store", "no-referrer", location}
	h := w.Header()
	h["Cache-Control"], h["Referrer-Policy"], h["Location"] = v[0:1:1], v[1:2:2], v[2:3:3]
	w.WriteHeader(status)
}

// RetryAfter sets Retry-After, rounded up to whole seconds. Zero sets nothing.
func RetryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", seconds(d))
	}
}

// Refresh makes a browser that navigated here load the URL again after d and a few
// seconds more. The delay is random, so that not all browsers come back at once. Zero
// sets nothing.
func Refresh(h http.Header, r *http.Request, d time.Duration) {
	if d > 0 && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		h.Set("Refresh", seconds(d+3*time.Second+rand.N(5*time.Second))) //nolint:gosec // the number is not secret
	}
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
