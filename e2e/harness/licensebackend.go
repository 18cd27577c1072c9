package harness

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// A LicenseBackend is a vendor's license backend. It records what reaches it,
// byte for byte, and answers every activation with a license; at /ws is a
// WebSocket that waits.
type LicenseBackend struct {
	Addr string // host:port

	mu       sync.Mutex
	requests []Activated
}

// Activated is a request as it reached a license backend.
type Activated struct {
	Method, URI string
	Head        string // the bytes up to the body
	Header      http.Header
	Body        []byte
}

// LicenseAnswer is the body of every answer of a license backend, and
// LicenseAnswerSignature the signature that it says it has.
const (
	LicenseAnswer          = `{"id":1720,"license_type":"perpetual","is_active":true}` + "\n"
	LicenseAnswerSignature = "c2lnbmVkIGJ5IHRoZSBiYWNrZW5k"
)

// NewLicenseBackend starts one on a free loopback port; it ends with the test.
func NewLicenseBackend(tb testing.TB) *LicenseBackend {
	tb.Helper()
	b := new(LicenseBackend)
	socket := listen(tb)
	b.Addr = socket.Addr().String()
	server := &http.Server{ //nolint:gosec // the test's own peer
		Handler: b,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, tapKey{}, c)
		},
	}
	go func() { _ = server.Serve(tappedListener{socket}) }() // ends with Close
	tb.Cleanup(func() { _ = server.Close() })
	return b
}

// Requests are those that reached it, oldest first.
func (b *LicenseBackend) Requests() []Activated {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// Last is the latest request.
func (b *LicenseBackend) Last(tb testing.TB) Activated {
	tb.Helper()
	all := b.Requests()
	if len(all) == 0 {
		tb.Fatal("nothing reached the license backend")
	}
	return all[len(all)-1]
}

// ServeHTTP implements [http.Handler].
func (b *LicenseBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	head, _, _ := bytes.Cut(r.Context().Value(tapKey{}).(*tap).take(), []byte("\r\n\r\n"))
	b.mu.Lock()
	b.requests = append(b.requests, Activated{
		Method: r.Method, URI: r.RequestURI, Head: string(head), Header: r.Header.Clone(), Body: body,
	})
	b.mu.Unlock()
	if r.URL.Path == "/ws" {
		waitOnWebSocket(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("LicenseSignature", LicenseAnswerSignature)
	_, _ = io.WriteString(w, LicenseAnswer)
}

func waitOnWebSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept answered
	}
	defer func() { _ = conn.CloseNow() }()
	_, _, _ = conn.Read(r.Context())
}

type tapKey struct{}

// A tap keeps what is read from a connection.
type tap struct {
	net.Conn
	mu   sync.Mutex
	read []byte
}

type tappedListener struct{ net.Listener }

func (l tappedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tap{Conn: c}, nil
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	t.read = append(t.read, p[:n]...)
	t.mu.Unlock()
	return n, err
}

// take returns what was read since the last request, whose body was read to its
// end: proxies send the next one only after the answer.
func (t *tap) take() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	read := t.read
	t.read = nil
	return read
}
