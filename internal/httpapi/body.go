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

// BodyTimeout is how long the body of a request may take to arrive that we answer
// ourselves. Whoever sends it more slowly is told so, and the connection ends.
const BodyTimeout = 15 * time.Second

// maxBody bounds a body, in bytes, of which nobody says otherwise.
const maxBody = 64 << 10

// LimitBodyTime bounds how long the body of a request may take: also one that nobody
// reads, since over HTTP/1.1 net/http reads it before the answer goes out. A
// request that goes on to another handler needs [UnlimitBodyTime] first.
func LimitBodyTime(w http.ResponseWriter, r *http.Request) { allowBody(w, r, BodyTimeout) }

// UnlimitBodyTime takes Hurry back: an upload may last, and what is left of a deadline would
// end the connection, or the request, under whoever answers it.
func UnlimitBodyTime(w http.ResponseWriter, r *http.Request) { allowBody(w, r, 0) }

// allowBody sets how long the body of a request may take from now on; 0: as long as
// the server allows, whose own bound a deadline replaces.
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
	http.NewResponseController(w).SetReadDeadline(deadline) //nolint:errcheck // where there can be none, that of the server holds
}

// Body reads a body of at most that many bytes. BodyStatus says what an error
// means.
func Body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	LimitBodyTime(w, r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		UnlimitBodyTime(w, r) // else net/http is not to wait for the rest
	}
	return body, err
}

// BodyStatus is the status that an error of [Body] is answered with: 413, 408 or
// 400.
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

// ReadForm reads a urlencoded body, and says with which status it cannot be
// taken.
func ReadForm(w http.ResponseWriter, r *http.Request) (raw string, status int, refusal *oauth.Error) {
	if !IsForm(r) {
		return "", http.StatusBadRequest, oauth.Invalid("The body should be application/x-www-form-urlencoded.")
	}
	body, status, refusal := ReadBody(w, r)
	return string(body), status, refusal
}

// ReadBody reads a bounded body, and says with which status it cannot be taken.
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
