package caddymodule

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A switcher is a backend that changes to any protocol that it is asked for,
// and remembers every request.
type switcher struct {
	*httptest.Server
	mu  sync.Mutex
	got []*http.Request
}

func newSwitcher(t *testing.T, start func(http.Handler) *httptest.Server) *switcher {
	s := new(switcher)
	s.Server = start(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *switcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.got = append(s.got, r)
	s.mu.Unlock()
	protocol := r.Header.Get("Upgrade")
	if protocol == "" {
		io.WriteString(w, "plain") //nolint:errcheck // the test sees it
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
}

func (s *switcher) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func (s *switcher) take() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// exchange sends a request as it stands, and reads the head of the answer.
func exchange(t *testing.T, address, request string) *http.Response {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// A route is a request that passes a gate or the portal to a backend.
type route struct {
	address, line, headers string
	page                   bool // it is nothing but a page, or a question about one
}

func (c route) with(headers string) string {
	return c.line + " HTTP/1.1\r\nHost: " + c.address + "\r\n" + c.headers + headers + "\r\n"
}

// loadRoutes runs Caddy with all routes to a backend that there are. gate is what all
// gates have beside.
func (w *world) loadRoutes(backend, secure *switcher, gate, options string) map[string]route {
	w.t.Helper()
	w.t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	open, license := freeAddr(w.t), freeAddr(w.t)
	proxy := "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n"
	w.mustLoad(setup{
		handler: proxy, portal: proxy, options: options,
		gate: "allow_preflight\nallow_client 9\nfail_auth_url http://" + w.site + "/signed-out\n" + gate,
		global: strings.Replace(licensed, "PROVISION", "", 1) + strings.Replace(backendClient, "client 2", "client 9", 1) +
			"\nclient 5 {\npublic\nredirect_uri http://" + open + "/cb\n}\n",
		sites: "http://" + open + " {\n@tls path /tls\nsso_gate /private/* {\nclient 5\n" + gate + "\n}\n" +
			"reverse_proxy @tls " + secure.URL + " {\ntransport http {\ntls_insecure_skip_verify\n}\n}\n" + proxy + "}\n" +
			"http://" + license + " {\nsso_gate {\nlicense_activation\n" + gate + "\n}\n" + proxy + "}\n",
	})
	v := w.visitor()
	v.signIn("http://" + w.portal + "/sso/sign_in")
	if got := v.get("http://" + w.site + "/"); got.body != "plain" {
		w.t.Fatalf("%s: %s", got.Status, got.body)
	}
	var cookies []string
	for _, c := range v.Jar.Cookies(&url.URL{Scheme: "http", Host: w.site, Path: "/"}) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	return map[string]route{
		"with a session":               {w.site, "GET /a", "Cookie: " + strings.Join(cookies, "; ") + "\r\n", false},
		"with a token":                 {w.site, "GET /a", "Authorization: Bearer " + v.access() + "\r\n", false},
		"the fail_auth_url":            {w.site, "GET /signed-out", "", true},
		"a preflight":                  {w.site, "OPTIONS /a", "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n", true},
		"a path without a policy":      {open, "GET /a", "", false},
		"a path over https":            {open, "GET /tls", "", false},
		"a path of the license gate":   {license, "GET /a", "", false},
		"what the portal does not own": {w.portal, "GET /a", "", false},
	}
}

func TestClass31NoUpgradeButWebSocketGoesOn(t *testing.T) {
	w := newWorld(t)
	backend, secure := newSwitcher(t, httptest.NewServer), newSwitcher(t, httptest.NewTLSServer)
	methods := w.loadRoutes(backend, secure, "", "")
	const settings = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
	for name, c := range methods {
		for _, headers := range []string{
			"Connection: Upgrade\r\nUpgrade: h2c\r\n" + settings,
			"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + settings,
			"Connection: keep-alive, uPGRADE\r\nUpgrade: H2C\r\nhttp2-settings: AAMAAABk\r\n",
			"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n" + settings,
			"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n" + settings,
			"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n" + settings,
			"Connection: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n" + settings,
			"Connection: Upgrade\r\nUpgrade: websocket/13\r\n",
			"Connection: Upgrade\r\nUpgrade: example/1.0\r\n",
			"Connection: Upgrade\r\nUpgrade: ,\r\n",
			"Connection: Upgrade\r\nUpgrade: \"websocket\"\r\n",
			"Connection: Upgrade\r\nUpgrade: webſocket\r\n",
			settings,
		} {
			backend.take()
			secure.take()
			if resp := exchange(t, c.address, c.with(headers)); resp.StatusCode != http.StatusOK {
				t.Errorf("%s, %q: %s", name, headers, resp.Status)
			}
			got := append(backend.take(), secure.take()...)
			if len(got) != 1 {
				t.Fatalf("%s, %q: %d requests reached the backend", name, headers, len(got))
			}
			for _, header := range []string{"Upgrade", "Http2-Settings", "Connection"} {
				if values, there := got[0].Header[header]; there {
					t.Errorf("%s, %q: the backend got %s %q", name, headers, header, values)
				}
			}
		}
		for _, headers := range []string{"Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: keep-alive, Upgrade\r\nUpgrade: , WebSocket\r\n" + settings} {
			want := http.StatusSwitchingProtocols
			if c.page {
				want = http.StatusUnauthorized
			}
			if resp := exchange(t, c.address, c.with(headers)); resp.StatusCode != want {
				t.Errorf("%s, %q: %s, want %d", name, headers, resp.Status, want)
			}
			for _, got := range append(backend.take(), secure.take()...) {
				if values, there := got.Header["Http2-Settings"]; there {
					t.Errorf("%s: the backend got settings of HTTP/2: %q", name, values)
				}
			}
		}
	}
}

func TestClass31AllowedProtocolsGoOn(t *testing.T) {
	w := newWorld(t)
	backend, secure := newSwitcher(t, httptest.NewServer), newSwitcher(t, httptest.NewTLSServer)
	methods := w.loadRoutes(backend, secure, "allow_upgrade example Example-2/1.0\nallow_upgrade third", "")
	const through, plain = http.StatusSwitchingProtocols, http.StatusOK
	for upgrade, want := range map[string]int{
		"example": through, "EXAMPLE": through, "example-2/1.0": through, "third": through, "third, websocket, example": through,
		"example-2": plain, "example/1.0": plain, "example-2/1.1": plain, "third, fourth": plain, "h2c": plain, "third\r\nUpgrade: h2c": plain,
	} {
		for _, name := range []string{"with a session", "with a token", "a path without a policy", "a path over https", "a path of the license gate"} {
			c := methods[name]
			if resp := exchange(t, c.address, c.with("Connection: Upgrade\r\nUpgrade: "+upgrade+"\r\n")); resp.StatusCode != want {
				t.Errorf("%s, %q: %s, want %d", name, upgrade, resp.Status, want)
			}
		}
		// The portal has no setting.
		c := methods["what the portal does not own"]
		if resp := exchange(t, c.address, c.with("Connection: Upgrade\r\nUpgrade: "+upgrade+"\r\n")); resp.StatusCode != plain {
			t.Errorf("the portal, %q: %s", upgrade, resp.Status)
		}
	}
}

// Of a CONNECT that came by HTTP/2, Caddy sends the body on without framing, in
// which a backend finds the next request of a connection that many share.
func TestClass31AConnectHidesNoRequestInItsBody(t *testing.T) {
	w := newWorld(t)
	backend, secure := newSwitcher(t, httptest.NewServer), newSwitcher(t, httptest.NewTLSServer)
	methods := w.loadRoutes(backend, secure, "", "servers {\nprotocols h1 h2c\n}")
	over := new(http.Protocols)
	over.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: over}
	t.Cleanup(transport.CloseIdleConnections)
	const hidden = "GET /hidden HTTP/1.1\r\nHost: a.example\r\nX-SSO-User: root\r\n\r\n"
	for _, name := range []string{"with a session", "with a token", "a path of the license gate", "what the portal does not own"} {
		backend.take()
		c := methods[name]
		body, feed := io.Pipe()
		go io.WriteString(feed, hidden) //nolint:errcheck // nobody reads it where it is refused
		r := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Scheme: "http", Host: c.address}, Header: http.Header{}, Body: body, ContentLength: -1}).WithContext(t.Context())
		for line := range strings.SplitSeq(strings.TrimSpace(c.headers), "\r\n") {
			header, value, _ := strings.Cut(line, ": ")
			if header != "" {
				r.Header.Set(header, value)
			}
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp.StatusCode == http.StatusOK { // the backend is reading what follows
			eventually(t, "the backend reads the body", func() bool { return backend.count() > 1 })
		}
		feed.Close()
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotImplemented {
			t.Errorf("%s: %s", name, resp.Status)
		}
		for _, got := range backend.take() {
			t.Errorf("%s: the backend got %s %s as %q", name, got.Method, got.RequestURI, got.Header["X-Sso-User"])
		}
	}
	// By HTTP/1.1 it has framing, and is refused all the same.
	for name, c := range methods {
		_, path, _ := strings.Cut(c.line, " ")
		c.line = "CONNECT " + path
		if resp := exchange(t, c.address, c.with("")); resp.StatusCode != http.StatusNotImplemented {
			t.Errorf("%s by HTTP/1.1: %s", name, resp.Status)
		}
	}
	if got := append(backend.take(), secure.take()...); len(got) > 0 {
		t.Errorf("the backend got %d requests", len(got))
	}
}
