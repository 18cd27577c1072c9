package gate

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What comes here is what Caddy makes of HTTP/2 and HTTP/3: the protocol of an
// extended CONNECT is a header ":protocol" of one, and r.Proto of the other.
func TestClass31AnExtendedConnectIsForKnownProtocolsAlone(t *testing.T) {
	const through, refused = http.StatusOK, http.StatusNotImplemented
	for _, c := range []struct {
		name     string
		major    int
		protocol string
		want     int
	}{
		{"WebSocket over HTTP/2", 2, "websocket", through},
		{"WebSocket over HTTP/3", 3, "websocket", through},
		{"WebSocket as Caddy does not know it, over HTTP/2", 2, "WebSocket", refused},
		{"WebSocket as Caddy does not know it, over HTTP/3", 3, "WebSocket", refused},
		{"another over HTTP/2", 2, "connect-udp", refused},
		{"another over HTTP/3", 3, "connect-udp", refused},
		{"an allowed one over HTTP/2", 2, "example", through},
		{"an allowed one over HTTP/3, whose name Caddy drops", 3, "example", refused},
		{"h2c", 2, "h2c", refused},
		{"none over HTTP/2", 2, "", refused},
		{"none over HTTP/3", 3, "HTTP/3.0", refused},
		{"none over HTTP/1.1", 1, "", refused},
		{"one over HTTP/1.1", 1, "websocket", refused},
		{"two over HTTP/2", 2, "websocket|websocket", refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.gate.AllowUpgrade = []string{"example"}
			b := f.browser()
			b.enter(demo)
			for _, path := range []string{"/ws", "/oauth2/sign_in"} {
				r := b.request(path)
				r.Method, r.ProtoMajor, r.Proto = http.MethodConnect, c.major, "HTTP/2.0"
				if c.major == 3 {
					r.Proto = c.protocol
				} else if c.protocol != "" {
					r.Header[":protocol"] = strings.Split(c.protocol, "|")
				}
				want := c.want
				if want == through && path != "/ws" {
					want = http.StatusMethodNotAllowed
				}
				wantStatus(t, f.serve(r), want)
			}
			if c.want == refused {
				f.untouched()
			}
		})
	}
}

func TestClass31SettingsOfHTTP2AreRemovedInEverySpelling(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	const others = "HTTP2-Settings-X HTTP2Settings X-HTTP2-Settings HTTP2-Setting"
	for name := range strings.FieldsSeq("Http2-Settings HTTP2-Settings http2-settings Http2_settings HTTP2.Settings http2!SETTINGS " + others) {
		r := b.request("/")
		r.Header[name] = []string{"AAMAAABk"}
		f.serve(r)
		if _, left := f.last.Header[name]; left != slices.Contains(strings.Fields(others), name) {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func TestClass31OnlyProtocolsWithoutHTTPInThemAreAllowed(t *testing.T) {
	for _, good := range []string{"websocket", "example", "Example/1.0", "a!#$%&'*+-.^_`|~9/x", "spdystream", "SPDY/3.1"} {
		if err := CheckUpgrade(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"h2c", "H2C", "h2c/1", "h2c-14", "h2", "h3", "HTTP/2.0", "http", "TLS/1.0", "tls", "", "/", "a/", "/1", "a/1/2", "a b", "a,b", "h2c, a", "a;b", "ä", "web\u017focket", `"a"`, "a\r\n",
	} {
		if err := CheckUpgrade(bad); err == nil || !strings.Contains(err.Error(), "allow_upgrade") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
