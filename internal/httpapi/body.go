package httpapi

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// BodyTimeout is how long the body of a request may take to arrive, if we answer the
// request ourselves. A slower client gets an error, and the connection ends.
const BodyTimeout = 15 * time.Second

// maxBody bounds a body, in bytes, if the caller sets no other limit.
const maxBody = 64 << 10

// LimitBodyTime bounds how long the body of a request may take to arrive. This
// matters for unread bodies, too: over HTTP/1.1 net/http reads the body before it
// sends the answer. Call [UnlimitBodyTime] before the request goes on to another
// handler.
func LimitBodyTime(w http.ResponseWriter, r *http.Request) { allowBody(w, r, BodyTimeout) }

// UnlimitBodyTime removes the limit of [LimitBodyTime]. An upload may take long, and
// the old deadline would end the connection or the request while another handler
// answers it.
func UnlimitBodyTime(w http.ResponseWriter, r *http.Request) { allowBody(w, r, 0) }

// allowBody sets how long the body of a request may take from now on. Zero allows
// what the server allows. A deadline replaces the server's own limit, so it is never
// longer.
func allowBody(w http.ResponseWriter, r *http.Request, patience time.Duration) {
	if r.ContentLength == 0 {
		return
	}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ReadTimeout > 0 {
		patience = min(cmp.Or(patience, server.ReadTimeout), server.ReadTimeout)
	}
	deadline := time.Time{}
	if patience > 0 {
		deadline = time.Now().Add(patience)
	}
	http.NewResponseController(w).SetReadDeadline(deadline) //nolint:errcheck // without support for deadlines, the limit of the server holds
}

// Body reads a body of at most limit bytes. [BodyStatus] is the status for its error.
func Body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	LimitBodyTime(w, r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		UnlimitBodyTime(w, r) // after an error net/http must not wait for the rest
	}
	return body, err
}

// BodyStatus is the HTTP status for an error of [Body]: 413, 408 or 400.
func BodyStatus(err error) int {
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	}
	return http.StatusBadRequest
}

// ReadForm reads a urlencoded body. If it cannot, it returns an error and its HTTP
// status.
func ReadForm(w http.ResponseWriter, r *http.Request) (raw string, status int, refusal *oauth.Error) {
	if !IsForm(r) {
		return "", http.StatusBadRequest, oauth.Invalid("The body should be application/x-www-form-urlencoded.")
	}
	body, status, refusal := ReadBody(w, r)
	return string(body), status, refusal
}

// ReadBody reads a body of at most 64 KiB. If it cannot, it returns an error and its HTTP status.
func ReadBody(w http.ResponseWriter, r *http.Request) (body []byte, status int, refusal *oauth.Error) {
	body, err := Body(w, r, maxBody)
	if err == nil {
		return body, http.StatusOK, nil
	}
	switch status = BodyStatus(err); status {
	case http.StatusRequestEntityTooLarge:
		refusal = oauth.Invalid("The body is too large.")
	case http.StatusRequestTimeout:
		refusal = oauth.Invalid("The body took too long to arrive.")
	default:
		refusal = oauth.Invalid("The body could not be read.")
	}
	return nil, status, refusal
}
