package httpapitest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A API is an API behind a real server.
type API struct {
	URL string

	t       testing.TB
	handler http.Handler
}

// NotFound is the answer to a path that is no endpoint.
const NotFound = "not the API's"

// NewAPI serves the handlers that endpoint finds by a path, and 404 for other paths,
// as the portal does.
func NewAPI(t testing.TB, endpoint func(path string) http.HandlerFunc) *API {
	f := &API{t: t, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers := endpoint(r.URL.Path); answers != nil {
			answers(w, r)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, NotFound) //nolint:errcheck // the client went away
	})}
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

// Get sends a request to the server, and follows no redirect. Headers are pairs.
func (f *API) Get(path, cookie string, headers ...string) Answer {
	f.t.Helper()
	return f.Send(http.MethodGet, path, "", append(headers, "Cookie", cookie)...)
}

// Send is Get for any method.
func (f *API) Send(method, path, body string, headers ...string) Answer {
	f.t.Helper()
	r := NewRequest(f.t, method, f.URL+path, body)
	setHeaders(r, headers)
	return Send(f.t, r)
}

// Direct sends a request without a network, for requests that no client sends or no
// server accepts. It may be called in a fuzz target.
func (f *API) Direct(method, path, rawQuery, body string, headers ...string) Answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.URL.RawQuery = rawQuery
	setHeaders(r, headers)
	return Serve(f.handler, r)
}

// setHeaders adds headers, without those that are empty.
func setHeaders(r *http.Request, headers []string) {
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
}
