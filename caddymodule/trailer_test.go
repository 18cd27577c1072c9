package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Caddy's proxy hands trailers on when the body has ended.
func TestClass02NoTrailerOfOursReachesTheUpstream(t *testing.T) {
	w := newWorld(t)
	seen := make(chan http.Header, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		seen <- r.Trailer
	}))
	defer backend.Close()
	open := freeAddr(t) // its gate's policy is for other paths
	w.mustLoad(setup{
		global: "client 2 {\npublic\nredirect_uri http://" + open + "/cb\ntoken_alg ES256\n}",
		sites:  "http://" + open + " {\nsso_gate /private/* {\nclient 2\n}\nreverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n}\n",
	})
	for announced, want := range map[string]bool{
		"Trailer: X-Checksum\r\n":                          true,
		"Trailer: X-Checksum, X-SSO-User, X_SSO_Email\r\n": true,
		"Trailer: X-SSO-User\r\n":                          false,
		"":                                                 false,
	} {
		t.Run(announced, func(t *testing.T) {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", open)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, err = io.WriteString(conn, "POST /public HTTP/1.1\r\nHost: "+open+"\r\nTransfer-Encoding: chunked\r\n"+announced+
				"\r\n2\r\nhi\r\n0\r\nX-Checksum: 1\r\nX-SSO-User: admin\r\nX_SSO_Email: admin\r\nx-sso-groups: admin\r\n\r\n")
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", resp, err)
			}
			got := <-seen
			for name := range got {
				if name != "X-Checksum" {
					t.Errorf("the upstream got the trailer %s", name)
				}
			}
			if want && got.Get("X-Checksum") != "1" {
				t.Errorf("the upstream did not get the other trailer: %v", got)
			}
		})
	}
}
