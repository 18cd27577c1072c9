package caddymodule

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
)

// slowWorld runs everything that reads a body, and returns a licensed gate.
func slowWorld(t *testing.T) (w *world, licensedSite string) {
	t.Helper()
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	w = newWorld(t)
	backend := newVendor(t)
	licensedSite = freeAddr(t)
	behind := "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://")
	w.mustLoad(setup{
		options: "servers {\nprotocols h1 h2c\n}",
		global: strings.Replace(licensed, "PROVISION", "", 1) + `
		signin oidc acme {
			issuer https://acme.example
			client_id x
		}
		signin trusted shop {
			url https://shop.example/
			secret ` + ownSecret + `
		}`,
		handler: "reverse_proxy /open/* " + strings.TrimPrefix(backend.URL, "http://"),
		sites:   "http://" + licensedSite + " {\nsso_gate {\nlicense_activation\n}\n" + behind + "\n}\n",
	})
	return w, licensedSite
}

// A slow request sends the beginning of its body, and then nothing.
type slow struct {
	name, method, host, path, mime string
	status                         int
	body                           string
}

func slowRequests(w *world, licensedSite string) []slow {
	const form, data = "application/x-www-form-urlencoded", "application/json"
	return []slow{
		{"a code for the Login API", "POST", w.portal, "/api/oauth2/token", form, 408, `"code":"0"`},
		{"a password for the Login API", "POST", w.portal, "/api/oauth2/login/token?client_id=1", data, 408, `"code":"0"`},
		{"a token to validate", "POST", w.portal, "/api/token/validate", data, 408, `"code":"0"`},
		{"a code for OpenID Connect", "POST", w.portal, "/oauth2/token", form, 408, `"error":"invalid_request"`},
		{"a token to introspect", "POST", w.portal, "/oauth2/introspect", form, 408, `"error":"invalid_request"`},
		{"a token to revoke", "POST", w.portal, "/api/oauth2/token/revoke", form, 408, `"code":"0"`},
		{"a sign-out by POST", "POST", w.portal, "/oauth2/end_session", form, 408, "took too long"},
		{"an authorization by POST", "POST", w.portal, "/oauth2/authorize", form, 408, "took too long"},
		{"the sign-in page", "POST", w.portal, "/sso/sign_in", form, 408, "took too long"},
		{"a logout token", "POST", w.portal, "/sso/backchannel_logout/acme", form, 408, "invalid_request"},
		{"a ticket", "POST", w.portal, "/sso/trusted/shop/ticket", data, 408, "took too long"},
		{"a form that waits at the gate", "POST", w.site, "/form", form, 408, "It did not arrive complete."},
		{"an activation", "POST", licensedSite, "/api/v4/activate_license", data, 408, `{"status":408,"code":"request_timeout",`},
		{"what nobody reads at the portal", "GET", w.portal, "/sso/sign_in", form, 200, ""},
		{"what nobody reads at an unknown path", "POST", w.portal, "/api/oauth2/user", data, 404, `"003-061"`},
		{"what nobody reads at the gate", "PUT", w.site, "/file", data, 401, ""},
	}
}

// answerTo is what a server makes of a slow request, within much more than its
// patience; over HTTP/1.1 the connection has to end, too.
func (s slow) answerTo(ctx context.Context, proto int) (status int, body string, err error) {
	head := http.Header{
		"Content-Type": {s.mime}, "Accept": {"text/html"}, "Origin": {"http://" + s.host}, "Sec-Fetch-Site": {"same-origin"},
		"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	}
	if strings.HasPrefix(s.path, "/api/") { // a person would get a page
		head.Set("Sec-Fetch-Mode", "cors")
		head.Set("Sec-Fetch-Dest", "empty")
	}
	if proto == 2 {
		reader, writer := io.Pipe()
		defer writer.Close()
		r, err := http.NewRequestWithContext(ctx, s.method, "http://"+s.host+s.path, reader)
		if err != nil {
			return 0, "", err
		}
		r.Header = head
		client := overHTTP2()
		defer client.CloseIdleConnections()
		go io.WriteString(writer, "{") //nolint:errcheck // nobody may read it
		resp, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		read, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(read), err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.host)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return 0, "", err
		}
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n", s.method, s.path, s.host)
	if err := head.Write(conn); err != nil {
		return 0, "", err
	}
	io.WriteString(conn, "\r\n{") //nolint:errcheck // the answer tells
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	if _, err := from.ReadByte(); err == nil || ctx.Err() != nil {
		return 0, "", fmt.Errorf("the connection goes on after %s", resp.Status)
	}
	return resp.StatusCode, string(read), nil
}

// overHTTP2 is a client with a connection of its own, without TLS.
func overHTTP2() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}

// One test for all, at once, since each waits out the patience.
func TestClass24ABodyThatDoesNotArriveHoldsNoConnection(t *testing.T) {
	w, licensedSite := slowWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*httpapi.BodyTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range slowRequests(w, licensedSite) {
		for _, proto := range []int{1, 2} {
			if proto == 2 && s.status != http.StatusRequestTimeout {
				continue // HTTP/2 waits for no body before it answers
			}
			all.Go(func() {
				status, body, err := s.answerTo(ctx, proto)
				if err != nil || status != s.status || !strings.Contains(body, s.body) {
					t.Errorf("%s, HTTP/%d: %d, %v: %.300s", s.name, proto, status, err, body)
				}
			})
		}
	}
	// What is slow for a reason of its own is not cut off.
	for name, client := range map[string]*http.Client{"HTTP/1.1": {Transport: new(http.Transport)}, "HTTP/2": overHTTP2()} {
		all.Go(func() { w.uploadsSlowly(name, client, licensedSite) })
		all.Go(func() { w.comesBackLater(name, client) })
	}
	all.Wait()
}

// uploadsSlowly sends a body to a backend that takes longer than any patience of
// ours.
func (w *world) uploadsSlowly(name string, client *http.Client, licensedSite string) {
	reader, writer := io.Pipe()
	go func() {
		io.WriteString(writer, "begin") //nolint:errcheck // the answer tells
		time.Sleep(httpapi.BodyTimeout + time.Second)
		io.WriteString(writer, " end") //nolint:errcheck // the answer tells
		writer.Close()
	}()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+licensedSite+"/other", reader)
	if err != nil {
		w.t.Error(err)
		return
	}
	resp, err := client.Do(r)
	if err != nil {
		w.t.Errorf("%s: an upload: %v", name, err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "the backend" {
		w.t.Errorf("%s: an upload: %s, %v: %s", name, resp.Status, err, body)
	}
}

// comesBackLater uses a connection, on which a body came in time, once more.
func (w *world) comesBackLater(name string, client *http.Client) {
	for later := range 2 {
		if later > 0 {
			time.Sleep(httpapi.BodyTimeout + time.Second)
		}
		resp, err := client.Post("http://"+w.portal+"/api/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader("grant_type=x&client_id=1"))
		if err != nil {
			w.t.Errorf("%s: a connection: %v", name, err)
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusBadRequest {
			w.t.Errorf("%s: a connection: %s, %v", name, resp.Status, err)
		}
	}
}

// The operator may set tighter limits for bodies, and limits for uploads.
func TestClass24TheServersOwnBoundOfBodiesHolds(t *testing.T) {
	w := newWorld(t)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // it is cut off
	}))
	t.Cleanup(backend.Close)
	upstream := "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://")
	open := freeAddr(t)
	w.mustLoad(setup{
		options: "servers {\nprotocols h1 h2c\ntimeouts {\nread_body 1s\nread_body_idle -1s\n}\n}",
		handler: upstream,
		sites:   "http://" + open + " {\n@closed path /closed\nsso_gate @closed {\nclient 1\n}\n" + upstream + "\n}\n",
	})
	ctx, cancel := context.WithTimeout(t.Context(), httpapi.BodyTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range []slow{
		{"a code", "POST", w.portal, "/api/oauth2/token", "application/x-www-form-urlencoded", 0, ""},
		{"an upload through a gate", "POST", open, "/upload", "text/plain", 0, ""},
	} {
		for _, proto := range []int{1, 2} {
			all.Go(func() {
				if _, body, err := s.answerTo(ctx, proto); ctx.Err() != nil {
					t.Errorf("%s, HTTP/%d: it lasts: %v: %.300s", s.name, proto, err, body)
				}
			})
		}
	}
	all.Wait()
}
