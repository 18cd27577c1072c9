package httphandler

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// PrivateAnswer returns a writer that keeps the answer to an identified request from
// shared caches.
func PrivateAnswer(w http.ResponseWriter) http.ResponseWriter {
	if outer, already := w.(*answerWriter); already { // of another gate of the site, or of the portal
		outer.private = true
		return w
	}
	answer := newAnswerWriter(w)
	answer.private = true
	return answer
}

// ServeIfHandled runs the next handler, and reports whether a handler has begun an
// answer, or failed.
func ServeIfHandled(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (handled bool, err error) {
	answer := newAnswerWriter(w)
	answer.vars = RequestVars(r.Context())
	if err := next.ServeHTTP(answer, r); err != nil || answer.begun {
		return true, err
	}
	caddyhttp.SetVar(r.Context(), unhandledVar, nil)                      // or the access log would say NOP
	for _, name := range []string{"Content-Length", "Content-Encoding"} { // of what was made of nothing
		w.Header().Del(name)
	}
	return false, nil
}

// An answerWriter knows whether anybody has begun to answer.
type answerWriter struct {
	caddyhttp.ResponseWriterWrapper

	// vars is Caddy's table of variables, if it matters whether the request reached
	// the end of all routes. Handlers before that, such as templates and intercept,
	// turn a missing answer into 200.
	vars map[string]any

	value [1]string // of the header, which other handlers may change in place
	begun bool

	// private adds `Cache-Control: private` to a final answer that has no
	// Cache-Control when its header is written (RFC 9111 section 5.2.2.7). Expires
	// and Pragma do not limit who may cache an answer, so they do not matter.
	private bool
}

// unhandledVar is the variable that Caddy sets at the end of all routes.
const unhandledVar = "unhandled"

func newAnswerWriter(w http.ResponseWriter) *answerWriter {
	return &answerWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
}

func (w *answerWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	if !w.private {
		return
	}
	header := w.Header()
	if _, there := header["Cache-Control"]; !there {
		w.value[0] = "private"
		header["Cache-Control"] = w.value[:]
	}
}

// WriteHeader begins no answer with an interim one. A change of protocol is an
// answer, to which nothing is added.
func (w *answerWriter) WriteHeader(status int) {
	switch {
	case status == http.StatusSwitchingProtocols:
		w.begun = true
	case status == http.StatusOK && !w.begun && w.vars[unhandledVar] == true:
		return // until there is a body
	case status >= http.StatusOK:
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

func (w *answerWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// http.ResponseController calls FlushError. Handlers that check for an http.Flusher
// call Flush.
func (w *answerWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush() //nolint:bodyclose // there is none
}

func (w *answerWriter) Flush() { _ = w.FlushError() }

// Hijack is for handlers that check for an http.Hijacker.
func (w *answerWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Hijack() //nolint:bodyclose // there is none
}

// Interface guards
var (
	_ io.ReaderFrom = (*answerWriter)(nil)
	_ http.Flusher  = (*answerWriter)(nil)
	_ http.Hijacker = (*answerWriter)(nil)
	_ http.Pusher   = (*answerWriter)(nil)
)
