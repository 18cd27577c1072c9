package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A Backend is an upstream that records every request that reaches it.
//
//	/ws         a WebSocket that echoes
//	/sse        an event stream that ticks until its request ends
//	/upload     counts the bytes of the body as they come: {"bytes": n}
//	/download   bytes=n bytes; without the parameter, bytes until its request ends
//	else        the request itself as JSON, see [Echo]; as a page where HTML is asked for
type Backend struct {
	Addr string // host:port

	mu       sync.Mutex
	requests []Echo
	live     atomic.Int64
}

// An Echo is a request as it reached the backend.
type Echo struct {
	Method string      `json:"method"`
	Host   string      `json:"host"`
	URI    string      `json:"uri"`
	Header http.Header `json:"header"`
}

// NewBackend starts a backend on a free loopback port; it ends with the test.
func NewBackend(tb testing.TB) *Backend {
	tb.Helper()
	b := new(Backend)
	server := httptest.NewUnstartedServer(b.mux())
	l := listen(tb)
	server.Listener.Close()
	server.Listener = l
	server.Start()
	tb.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	b.Addr = l.Addr().String()
	return b
}

// listen takes a port that is still free: a process that was just forked may
// hold on to one for a moment after we closed it.
func listen(tb testing.TB) net.Listener {
	tb.Helper()
	for {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", Port(tb)))
		if err == nil {
			return l
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			tb.Fatal(err)
		}
	}
}

// Requests are those that reached the backend, oldest first.
func (b *Backend) Requests() []Echo {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// Live is how many requests are not answered yet.
func (b *Backend) Live() int { return int(b.live.Load()) }

func (b *Backend) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", b.webSocket)
	mux.HandleFunc("/sse", events)
	mux.HandleFunc("/upload", upload)
	mux.HandleFunc("/download", download)
	mux.HandleFunc("/", echo)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.live.Add(1)
		defer b.live.Add(-1)
		b.mu.Lock()
		b.requests = append(b.requests, echoOf(r))
		b.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
}

func echoOf(r *http.Request) Echo {
	return Echo{Method: r.Method, Host: r.Host, URI: r.RequestURI, Header: r.Header.Clone()}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := json.MarshalIndent(echoOf(r), "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		user := url.QueryEscape(r.Header.Get("X-SSO-User")) // never markup
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Backend</title><h1>Backend</h1><p id="user">%s</p><script id="request" type="application/json">%s</script>`, user, body)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (b *Backend) webSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept answered
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for n := 0; ; n++ {
		if _, err := fmt.Fprintf(w, "data: %d\n\n", n); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // the client is gone
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"bytes":%d}`, n)
}

func download(w http.ResponseWriter, r *http.Request) {
	block := make([]byte, 64<<10)
	flush := http.NewResponseController(w)
	if asked := r.URL.Query().Get("bytes"); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", asked)
		for ; n > 0; n -= len(block) {
			if _, err := w.Write(block[:min(n, len(block))]); err != nil {
				return
			}
		}
		return
	}
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil || flush.Flush() != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
