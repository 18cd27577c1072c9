package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/gate"
)

// private returns the writer for the answer to a request that passed: one that
// keeps it from shared caches where the request is from somebody.
func (g *Gate) private(w http.ResponseWriter, pass gate.Pass) http.ResponseWriter {
	if !pass.Known || g.CachePrivate == off {
		return w
	}
	if _, already := w.(*privateWriter); already {
		return w // by another gate of the site
	}
	return &privateWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
}

// A privateWriter adds `Cache-Control: private` to a final answer that has no
// Cache-Control when its header is written (RFC 9111 section 5.2.2.7). Expires
// and Pragma do not say for whom an answer is, so they do not count.
type privateWriter struct {
	caddyhttp.ResponseWriterWrapper
	decided bool
	value   [1]string // of the header, which other handlers may change in place
}

func (w *privateWriter) decide() {
	if w.decided {
		return
	}
	w.decided = true
	header := w.Header()
	if _, there := header["Cache-Control"]; !there {
		w.value[0] = "private"
		header["Cache-Control"] = w.value[:]
	}
}

// WriteHeader adds nothing to an interim answer, nor to a change of protocol.
func (w *privateWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.decide()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *privateWriter) Write(p []byte) (int, error) {
	w.decide()
	return w.ResponseWriter.Write(p)
}

func (w *privateWriter) ReadFrom(r io.Reader) (int64, error) {
	w.decide()
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is what http.ResponseController calls, Flush what handlers call
// that look for an http.Flusher.
func (w *privateWriter) FlushError() error {
	w.decide()
	return http.NewResponseController(w.ResponseWriter).Flush() //nolint:bodyclose // there is none
}

func (w *privateWriter) Flush() { _ = w.FlushError() }

// Hijack is for handlers that look for an http.Hijacker.
func (w *privateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack() //nolint:bodyclose // there is none
}

// Interface guards
var (
	_ io.ReaderFrom = (*privateWriter)(nil)
	_ http.Flusher  = (*privateWriter)(nil)
	_ http.Hijacker = (*privateWriter)(nil)
	_ http.Pusher   = (*privateWriter)(nil)
)
