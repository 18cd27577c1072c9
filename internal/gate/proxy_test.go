package gate

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"
)

// behind runs the gate before a reverse proxy before an upstream, on real
// connections, and returns the address.
func behind(t *testing.T, f *fixture, upstream http.HandlerFunc) string {
	back := httptest.NewServer(upstream)
	t.Cleanup(back.Close)
	proxy := httputil.NewSingleHostReverseProxy(parse(t, back.URL))
	proxy.FlushInterval = -1
	proxy.ErrorLog = nil
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pass, ok := f.gate.Handle(w, r)
		if !ok {
			return
		}
		defer pass.Release()
		defer func() { _ = recover() }() // a proxy whose request was cancelled aborts
		proxy.ServeHTTP(w, pass.Request)
	}))
	t.Cleanup(front.Close)
	return strings.TrimPrefix(front.URL, "http://")
}

// send writes a request as it stands, and reads the answer.
func send(t *testing.T, address, request string) (*http.Response, net.Conn, *bufio.Reader) {
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return response, conn, r
}

// siteCookie signs in and returns the Cookie header of the site.
func siteCookie(f *fixture) string {
	b := f.browser()
	b.enter(demo)
	return b.request("/").Header.Get("Cookie")
}

func TestClass04BehindAProxyConnectionRemovesNothingOfOurs(t *testing.T) {
	f := newFixture(t)
	seen := make(chan http.Header, 1)
	address := behind(t, f, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	for _, connection := range []string{"X-SSO-User", "close, X-SSO-User, X-Sso-Groups", "x-sso-user,X-Sso-Subject\r\nConnection: X-SSO-Email", "Cookie, X-Other"} {
		response, _, _ := send(t, address, "GET / HTTP/1.1\r\nHost: localhost:8081\r\nX-Other: x\r\nX-SSO-User: admin\r\nCookie: "+siteCookie(f)+"; a=b\r\nConnection: "+connection+"\r\n\r\n")
		if response.StatusCode != http.StatusOK {
			t.Fatalf("status %d", response.StatusCode)
		}
		got := identityOf(<-seen)
		if len(got) != 4 || got["X-Sso-User"][0] != "demo" {
			t.Errorf("with Connection: %s the upstream got %v", connection, got)
		}
	}
}

func TestClass02BehindAProxyNoSpellingAndNoTrailerArrives(t *testing.T) {
	f := newFixture(t)
	type arrived struct{ header, trailer http.Header }
	seen := make(chan arrived, 1)
	address := behind(t, f, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		seen <- arrived{r.Header, r.Trailer}
	})
	request := "POST / HTTP/1.1\r\nHost: localhost:8081\r\nCookie: " + siteCookie(f) + "\r\nTransfer-Encoding: chunked\r\nTrailer: X-SSO-User, X_SSO_Email, X-Checksum\r\n"
	for _, name := range spellings {
		request += name + ": admin\r\n"
	}
	request += "\r\n2\r\nhi\r\n0\r\nX-SSO-User: admin\r\nX_SSO_Email: admin\r\nX-SSO-Groups: admin\r\nX-Checksum: 1\r\n\r\n"
	response, _, _ := send(t, address, request)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d", response.StatusCode)
	}
	got := <-seen
	ids := identityOf(got.header)
	if len(ids) != 4 || ids["X-Sso-User"][0] != "demo" || ids["X-Sso-Email"][0] != "demo@example.com" || ids["X-Sso-Groups"][0] != "players" || ids["X-Sso-Subject"][0] != demo.Subject {
		t.Errorf("the upstream got %v", ids)
	}
	if trailers := maps.Collect(maps.All(identityOf(got.trailer))); len(trailers) > 0 {
		t.Errorf("the upstream got the trailers %v", trailers)
	}
}

func TestClass16AnUpgradedConnectionEndsWithItsSession(t *testing.T) {
	f := newFixture(t)
	address := behind(t, f, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + r.Header.Get("X-SSO-User") + "\n")
		rw.Flush()
		io.Copy(io.Discard, rw)
	})
	const upgrade = "GET /ws HTTP/1.1\r\nHost: localhost:8081\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAccept: text/html\r\n"
	refused, _, _ := send(t, address, upgrade+"\r\n")
	if refused.StatusCode != http.StatusUnauthorized {
		t.Fatalf("without a session: status %d", refused.StatusCode)
	}
	b := f.browser()
	s := b.enter(demo)
	response, _, r := send(t, address, upgrade+"Cookie: "+b.request("/").Header.Get("Cookie")+"\r\n\r\n")
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", response.StatusCode)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "demo\n" {
		t.Fatalf("the upstream knows %q, %v", line, err)
	}
	if err := f.gate.Server.Sessions.End(context.WithoutCancel(t.Context()), s.Key()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Fatal("the connection goes on")
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Fatal("the connection stays open")
	}
}

func TestAStreamedAnswerEndsWithItsSession(t *testing.T) {
	f := newFixture(t)
	ended := make(chan struct{})
	address := behind(t, f, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	b := f.browser()
	s := b.enter(demo)
	response, _, _ := send(t, address, "GET /events HTTP/1.1\r\nHost: localhost:8081\r\nAccept: text/event-stream\r\nCookie: "+b.request("/").Header.Get("Cookie")+"\r\n\r\n")
	first := make([]byte, len("data: 1\n\n"))
	if _, err := io.ReadFull(response.Body, first); err != nil {
		t.Fatal(err)
	}
	if err := f.gate.Server.Sessions.End(t.Context(), s.Key()); err != nil {
		t.Fatal(err)
	}
	<-ended
}
