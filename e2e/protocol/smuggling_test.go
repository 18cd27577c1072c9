package protocol

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// asgi answers every request with what the server made of it.
const asgi = `
import json

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    told = {"path": scope["path"], "version": scope["http_version"], "headers": {k.decode(): v.decode() for k, v in scope["headers"]}}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
`

// hypercorn starts Hypercorn with its defaults, which change to HTTP/2 when a
// request asks for it, and returns its address.
func hypercorn(t *testing.T, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("hypercorn")
	if err != nil {
		t.Fatal("hypercorn is not installed; install the package python3-hypercorn (the name as in Debian)")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "backend.py"), []byte(asgi), 0o600); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", harness.Port(t))
	cmd := exec.Command(program, append(args, "--bind", address, "backend:app")...)
	var said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it may have ended by itself
		if t.Failed() {
			t.Logf("hypercorn said:\n%s", said.String())
		}
	})
	harness.Eventually(t, "hypercorn listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}

// certificate makes a certificate and its key, and returns their paths.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	made, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, part := range []struct {
		path  *string
		name  string
		kind  string
		bytes []byte
	}{{&cert, "cert.pem", "CERTIFICATE", made}, {&key, "key.pem", "PRIVATE KEY", encoded}} {
		*part.path = filepath.Join(dir, part.name)
		if err := os.WriteFile(*part.path, pem.EncodeToMemory(&pem.Block{Type: part.kind, Bytes: part.bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// dial connects to an origin.
func dial(t *testing.T, origin string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(origin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// cookiesOf are a browser's cookies of an origin.
func cookiesOf(t *testing.T, browser *harness.Client, origin string) string {
	t.Helper()
	u, err := url.Parse(origin + "/")
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, c := range browser.HTTP().Jar.Cookies(u) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	return strings.Join(cookies, "; ")
}

// askHTTP2 sends a request over HTTP/2, and returns the fields and the body of
// the answer.
func askHTTP2(rw io.ReadWriter, stream uint32, fields ...hpack.HeaderField) (map[string]string, string, error) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		if err := encoder.WriteField(f); err != nil {
			return nil, "", err
		}
	}
	if _, err := io.WriteString(rw, http2.ClientPreface); err != nil {
		return nil, "", err
	}
	framer := http2.NewFramer(rw, rw)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: false,
	})); err != nil {
		return nil, "", err
	}
	answer, body := map[string]string{}, ""
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return nil, "", err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				if err := framer.WriteSettingsAck(); err != nil {
					return nil, "", err
				}
			}
			continue
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return nil, "", fmt.Errorf("the stream was reset: %v", f.ErrCode)
			}
		case *http2.GoAwayFrame:
			return nil, "", fmt.Errorf("the connection is over: %v", f.ErrCode)
		case *http2.MetaHeadersFrame:
			if f.StreamID == stream {
				for _, field := range f.Fields {
					answer[field.Name] = field.Value
				}
				if answer[":status"] != "" && fields[0].Value == http.MethodConnect {
					return answer, body, nil
				}
			}
		case *http2.DataFrame:
			if f.StreamID == stream {
				body += string(f.Data())
			}
		}
		if h := frame.Header(); h.StreamID == stream && h.Flags.Has(http2.FlagDataEndStream) {
			return answer, body, nil
		}
	}
}

func TestClass31NoTunnelToABackendThatSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	plain := hypercorn(t)
	cert, key := certificate(t)
	secure := hypercorn(t, "--certfile", cert, "--keyfile", key)
	open := fmt.Sprintf("http://localhost:%d", harness.Port(t))
	r := start(t, func(c *harness.Caddyfile) {
		c.Backend = plain
		c.PortalRoutes = "reverse_proxy " + plain
		c.Clients = append(c.Clients, harness.Application{ID: "5", Lines: "public\nredirect_uri " + open + "/cb"})
		c.GateRoutes = "reverse_proxy /secure https://" + secure + " {\ntransport http {\ntls_insecure_skip_verify\nversions 1.1\n}\n}"
		c.Sites = open + " {\nsso_gate /private/* {\nclient 5\n}\nreverse_proxy " + plain + "\n}\n"
	})
	cookie := "Cookie: " + cookiesOf(t, r.signedIn(t, harness.Demo), r.Gate) + "\r\n"
	for name, c := range map[string]struct{ origin, path, cookie string }{
		"with a session":               {r.Gate, "/a", cookie},
		"with a session, over https":   {r.Gate, "/secure", cookie},
		"where no policy applies":      {open, "/a", ""},
		"what the portal does not own": {r.Portal, "/a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, c.origin)
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
				c.path, strings.TrimPrefix(c.origin, "http://"), c.cookie)
			reader := bufio.NewReader(conn)
			resp, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode == http.StatusSwitchingProtocols {
				_, body, err := askHTTP2(struct {
					io.Reader
					io.Writer
				}{reader, conn}, 3,
					hpack.HeaderField{Name: ":method", Value: "GET"}, hpack.HeaderField{Name: ":scheme", Value: "http"},
					hpack.HeaderField{Name: ":path", Value: "/private/secret"}, hpack.HeaderField{Name: ":authority", Value: "a.example"},
					hpack.HeaderField{Name: "x-sso-user", Value: "root"})
				t.Fatalf("there is a tunnel, by which the backend says %s, %v", body, err)
			}
			var told struct {
				Path, Version string
				Headers       map[string]string
			}
			if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s, %v", resp.Status, err)
			}
			if told.Path != c.path || told.Version != "1.1" || told.Headers["upgrade"] != "" || told.Headers["http2-settings"] != "" {
				t.Errorf("the backend got %+v", told)
			}
		})
	}
}

// The server of this test takes an extended CONNECT, which Go has to be told to.
func TestClass31AnExtendedConnectIsForAWebSocketAlone(t *testing.T) {
	t.Setenv("GODEBUG", "http2xconnect=1")
	r := start(t, func(c *harness.Caddyfile) {
		c.Global += "\nservers {\nprotocols h1 h2c\n}"
		c.PortalRoutes = "reverse_proxy " + c.Backend
	})
	cookie := cookiesOf(t, r.signedIn(t, harness.Demo), r.Gate)
	before := len(r.backend.Requests())
	for _, c := range []struct{ name, origin, protocol, cookie, want string }{
		{"a WebSocket", r.Gate, "websocket", cookie, "200"},
		{"a WebSocket without a session", r.Gate, "websocket", "", "401"},
		{"another", r.Gate, "connect-udp", cookie, "501"},
		{"another without a session", r.Gate, "connect-udp", "", "501"},
		{"h2c", r.Gate, "h2c", cookie, "501"},
		{"none", r.Gate, "", cookie, "501"},
		{"a WebSocket past the portal", r.Portal, "websocket", "", "200"},
		{"another past the portal", r.Portal, "connect-udp", "", "501"},
		{"none past the portal", r.Portal, "", "", "501"},
	} {
		fields := []hpack.HeaderField{{Name: ":method", Value: http.MethodConnect}, {Name: ":authority", Value: strings.TrimPrefix(c.origin, "http://")}}
		if c.protocol != "" {
			fields = append(fields, hpack.HeaderField{Name: ":protocol", Value: c.protocol},
				hpack.HeaderField{Name: ":scheme", Value: "http"}, hpack.HeaderField{Name: ":path", Value: "/ws"})
		}
		fields = append(fields, hpack.HeaderField{Name: "sec-websocket-version", Value: "13"})
		if c.cookie != "" {
			fields = append(fields, hpack.HeaderField{Name: "cookie", Value: c.cookie})
		}
		answer, _, err := askHTTP2(dial(t, c.origin), 1, fields...)
		if err != nil || answer[":status"] != c.want {
			t.Errorf("%s: %v, %v, want %s", c.name, answer, err, c.want)
		}
	}
	if got := len(r.backend.Requests()) - before; got != 2 {
		t.Errorf("%d requests reached the backend, want those of the two WebSockets", got)
	}
}
