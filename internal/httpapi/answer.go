package httpapi

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// NoStore marks what carries a code, a token or a cookie.
func NoStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
}

// WriteJSON answers with what nobody keeps.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	NoStore(w.Header())
	encode(w, status, "application/json", v)
}

// WritePublic answers with what anybody may read and keep: five minutes are well
// within the day that a key is published before it is used.
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

// WriteEmpty answers that it was done, and no more.
func WriteEmpty(w http.ResponseWriter, status int) {
	NoStore(w.Header())
	w.WriteHeader(status)
}

// Redirect leads a browser on.
func Redirect(w http.ResponseWriter, status int, location string) {
	// What NoStore sets and the location, in one allocation.
	v := []string{"no-store", "no-referrer", location}
	h := w.Header()
	h["Cache-Control"], h["Referrer-Policy"], h["Location"] = v[0:1:1], v[1:2:2], v[2:3:3]
	w.WriteHeader(status)
}

// RetryAfter says when trying again makes sense, in whole seconds; zero: it does
// not.
func RetryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", seconds(d))
	}
}

// Refresh has a browser that came by a navigation try again by itself, where
// trying again makes sense: a few seconds later, and not all browsers at once.
func Refresh(h http.Header, r *http.Request, d time.Duration) {
	if d > 0 && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		h.Set("Refresh", seconds(d+3*time.Second+rand.N(5*time.Second))) //nolint:gosec // nothing hangs on the number
	}
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
