package harness

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Client does what a browser without JavaScript does: it keeps cookies, goes
// where answers and pages lead by themselves, and sends the headers that tell a
// navigation from a script's request.
type Client struct {
	Jar http.CookieJar

	tb        testing.TB
	transport *http.Transport

	mu     sync.Mutex
	routes map[string]string
}

// NewClient returns a client without cookies.
func NewClient(tb testing.TB) *Client {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	c := &Client{Jar: jar, tb: tb}
	c.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.route(addr))
		},
		MaxIdleConnsPerHost: 64,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the authority is made by the test
	}
	tb.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// Route sends what is for an address to another one, while URLs and the Host
// header stay: from and to in turns. It takes the place of earlier routes.
func (c *Client) Route(pairs ...string) {
	routes := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		routes[pairs[i]] = pairs[i+1]
	}
	c.mu.Lock()
	c.routes = routes
	c.mu.Unlock()
	c.transport.CloseIdleConnections()
}

func (c *Client) route(addr string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to, ok := c.routes[addr]; ok {
		return to
	}
	return addr
}

// Close ends the client's connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// HTTP is a client with the same cookies and routes that follows no redirect.
func (c *Client) HTTP() *http.Client {
	return &http.Client{
		Transport: c.transport, Jar: c.Jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A Response is an answer that was read to its end.
type Response struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string

	// Seen are the URLs that led here, with all redirects.
	Seen []string
}

// JSON reads the body.
func (r *Response) JSON(tb testing.TB, into any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(r.Body), into); err != nil {
		tb.Fatalf("%s answered %d, not JSON: %v\n%s", r.URL, r.Status, err, r.Body)
	}
}

// Location is where a redirect leads.
func (r *Response) Location(tb testing.TB) *url.URL {
	tb.Helper()
	raw := r.Header.Get("Location")
	if raw == "" {
		tb.Fatalf("%s answered %d without a Location: %s", r.URL, r.Status, r.Body)
	}
	u, err := r.URL.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// maxTurns bounds how often a request is sent again.
const maxTurns = 5

// Do sends one request, and follows nothing. A request whose connection ended
// before an answer began is sent again: when Caddy reloads it listens on a new
// socket, and anyone who waits at the old one is hung up on, also by Caddy without
// any module. What the server had taken and lost would show: a code is spent
// once.
func (c *Client) Do(r *http.Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), Patience)
	defer cancel()
	resp, err := c.HTTP().Do(r.WithContext(ctx))
	for turn := 1; hungUp(err) && turn < maxTurns && (r.Body == nil || r.GetBody != nil); turn++ {
		time.Sleep(20 * time.Millisecond)
		again := r.Clone(ctx)
		if r.GetBody != nil {
			if again.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		resp, err = c.HTTP().Do(again)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &Response{
		URL: r.URL, Status: resp.StatusCode, Header: resp.Header, Body: string(body), Seen: []string{r.URL.String()},
	}, nil
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// Fetch sends a script's request: one GET, which follows nothing.
func (c *Client) Fetch(target string) *Response {
	c.tb.Helper()
	resp, err := c.TryFetch(target)
	if err != nil {
		c.tb.Fatal(err)
	}
	return resp
}

// TryFetch is Fetch, and returns what went wrong.
func (c *Client) TryFetch(target string) (*Response, error) {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	return c.Do(r)
}

// Post sends a form without a page around it, as a program does.
func (c *Client) Post(target string, form url.Values) *Response {
	c.tb.Helper()
	resp, err := c.TryPost(target, form)
	if err != nil {
		c.tb.Fatal(err)
	}
	return resp
}

// TryPost is Post, and returns what went wrong.
func (c *Client) TryPost(target string, form url.Values) (*Response, error) {
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.Do(r)
}

// Open opens a page and goes where it leads by itself.
func (c *Client) Open(target string) *Response {
	c.tb.Helper()
	resp, err := c.TryOpen(target)
	if err != nil {
		c.tb.Fatal(err)
	}
	return resp
}

// TryOpen is Open, and returns what went wrong.
func (c *Client) TryOpen(target string) (*Response, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	return c.navigate(nil, http.MethodGet, u, nil, false)
}

// Cookies are those that would go to a URL, by name.
func (c *Client) Cookies(target string) map[string]string {
	c.tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		c.tb.Fatal(err)
	}
	found := make(map[string]string)
	for _, cookie := range c.Jar.Cookies(u) {
		found[cookie.Name] = cookie.Value
	}
	return found
}
