// Package httpapitest sends requests to the endpoints of an HTTP API, for its tests.
package httpapitest

import (
	"encoding/base64"
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

// Location returns the target of a redirect.
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

// NewRequest is a request of a client.
func NewRequest(t testing.TB, method, rawURL, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, rawURL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Serve hands a request to h without a network.
func Serve(h http.Handler, r *http.Request) Answer {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return Answer{recorder.Code, recorder.Header(), recorder.Body.String()}
}

// Basic is the Authorization header of a client (RFC 6749 section 2.3.1).
func Basic(id, secret string) string { return RawBasic(url.QueryEscape(id), url.QueryEscape(secret)) }

// RawBasic is that of a client which does not URL-encode it.
func RawBasic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// Changed returns v with changes: name, value, name, value. The value "-" removes a
// parameter.
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

// WantHeaders compares the headers of an answer with pairs; "" means none.
func WantHeaders(t testing.TB, a Answer, headers ...string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if got := strings.Join(a.Header.Values(headers[i]), ", "); got != headers[i+1] {
			t.Errorf("%s is %q, want %q", headers[i], got, headers[i+1])
		}
	}
}
