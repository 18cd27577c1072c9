// Package endpointtest asks the endpoints of a face, for its tests.
package endpointtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Form is the type of a urlencoded body.
const Form = "application/x-www-form-urlencoded"

// An Answer is a response, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Location is where an answer leads.
func (a Answer) Location() string { return a.Header.Get("Location") }

// Send sends a request, and follows no redirect.
func Send(t testing.TB, r *http.Request) Answer {
	t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{response.StatusCode, response.Header, string(read)}
}

// NewRequest is a request with headers, which are pairs; an empty one is left
// out.
func NewRequest(t testing.TB, method, rawURL, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, rawURL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(r, headers)
	return r
}

// Serve hands a request to h without a network.
func Serve(t testing.TB, h http.Handler, r *http.Request) Answer {
	t.Helper()
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r.WithContext(t.Context()))
	return Answer{recorder.Code, recorder.Header(), recorder.Body.String()}
}

// ServeRaw is Serve for a query that no client sends or no server lets through.
func ServeRaw(t testing.TB, h http.Handler, method, path, rawQuery, body string, headers ...string) Answer {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.URL.RawQuery = rawQuery
	setHeaders(r, headers)
	return Serve(t, h, r)
}

func setHeaders(r *http.Request, headers []string) {
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
}

// Changed is v, changed as told: name, value, name, value. The value "-" leaves
// a parameter out.
func Changed(v url.Values, changes []string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			v.Del(changes[i])
		} else {
			v.Set(changes[i], changes[i+1])
		}
	}
	return v
}

// WantHeaders holds the headers of an answer to pairs; "" is none.
func WantHeaders(t testing.TB, a Answer, headers ...string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if got := strings.Join(a.Header.Values(headers[i]), ", "); got != headers[i+1] {
			t.Errorf("%s is %q, want %q", headers[i], got, headers[i+1])
		}
	}
}

// A Face finds its endpoints by their paths. It answers what is none of them
// with NotFound, as the portal does in its own words.
type Face func(path string) http.HandlerFunc

// NotFound is the body of a 404.
const NotFound = "not the API's"

func (f Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if endpoint := f(r.URL.Path); endpoint != nil {
		endpoint(w, r)
		return
	}
	w.WriteHeader(http.StatusNotFound)
	io.WriteString(w, NotFound) //nolint:errcheck // the client went away
}
