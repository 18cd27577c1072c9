package licenseapi_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Chunks, trailers and Expect end here: the backend gets a body of known length.
func TestABodyInChunksHasALengthBehindTheGate(t *testing.T) {
	w := newWorld(t)
	body := activation("code", quoted(w.code()))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+activate, io.MultiReader(strings.NewReader(body[:10]), strings.NewReader(body[10:])))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", jsonType)
	r.Header.Set("Expect", "100-continue")
	r.Trailer = http.Header{"X-Sso-User": {"admin"}}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	w.wantBackend(answer{Status: response.StatusCode, Header: response.Header, Body: "the backend"}, body, "ada")
	got := w.backend[0].r
	if got.Header.Get("Content-Length") != strconv.Itoa(len(body)) || len(got.TransferEncoding) > 0 || len(got.Trailer) > 0 ||
		got.Header.Get("Trailer") != "" || got.Header.Get("Expect") != "" {
		t.Errorf("the backend got %v, %v, %v", got.Header, got.TransferEncoding, got.Trailer)
	}
}

// A body that is refused by its length is not read.
func TestABodyThatSaysItIsTooLargeIsNotRead(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodPost, activate, unread{t})
	r.ContentLength = 1<<20 + 1
	r.Header.Set("Content-Type", jsonType)
	w.wantRefused(w.direct(r), 413, "request_too_large", "The body is larger than 1 MiB")
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodPost, activate, io.MultiReader(strings.NewReader("{}"), broken{}))
	r.ContentLength = 100
	r.Header.Set("Content-Type", jsonType)
	w.wantRefused(w.direct(r), 400, "validation_error", "The body could not be read")
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Class 24: bodies are kept in memory, so nobody may take for ever to send one.
func TestClass24ABodyIsReadWithinATime(t *testing.T) {
	w := newWorld(t)
	for name, late := range map[string]bool{"in time": false, "too late": true} {
		w.backend = nil
		slow := &slowRequest{ResponseRecorder: httptest.NewRecorder(), body: strings.NewReader("{}"), late: late}
		r := httptest.NewRequest(http.MethodPost, activate, slow)
		r.ContentLength = 2
		r.Header.Set("Content-Type", jsonType)
		w.ServeHTTP(slow, r.WithContext(t.Context()))
		if !slow.bounded {
			t.Errorf("%s: the body is read without a deadline", name)
		}
		if slow.deadline.IsZero() == late {
			t.Errorf("%s: the deadline is %v; it should hold for the rest of a body, and for nothing after it", name, slow.deadline)
		}
		if late != (len(w.backend) == 0) || late != (slow.Code == http.StatusRequestTimeout) || !late && w.backend[0].body != "{}" {
			t.Errorf("%s: status %d, and the backend has %d requests", name, slow.Code, len(w.backend))
		}
	}
}

// A slowRequest is a request whose body may come too late, and its answer.
type slowRequest struct {
	*httptest.ResponseRecorder
	body          *strings.Reader
	late, bounded bool
	deadline      time.Time
}

// SetReadDeadline is what [http.ResponseController] looks for.
func (s *slowRequest) SetReadDeadline(t time.Time) error {
	s.deadline = t
	return nil
}

func (s *slowRequest) Read(p []byte) (int, error) {
	s.bounded = !s.deadline.IsZero()
	if s.late {
		return 0, os.ErrDeadlineExceeded
	}
	return s.body.Read(p)
}

// Whatever the body is, the backend sees the same bytes or none, and an
// identity only for a code that was issued.
func FuzzActivationBody(f *testing.F) {
	for _, seed := range []string{
		activation("code", `"x"`), activation("id_token", `"a.b.c"`), activation("license_key", `"k"`), `{"license_key":"k"}`,
		`{"code":"a","\u0063ode":"b"}`, `{"Code":1}`, "{}", "[]", "", "{", `{"a":{"a":{"a":[1,2,{"b":null}]}}}`, "\xef\xbb\xbf{}", `{"a":1e999}`,
		`{"code":null,"id_token":"","customer_account_code":null}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`, `{"\ud800":1,"\udfff":2}`,
	} {
		f.Add([]byte(seed), "")
		f.Add([]byte(seed), "code=x&product=demo")
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, body []byte, rawQuery string) {
		w.T = t
		w.backend, w.activated = nil, nil
		r := httptest.NewRequest(http.MethodPost, activate, bytes.NewReader(body))
		r.URL.RawQuery = rawQuery
		r.Header.Set("Content-Type", jsonType)
		got := w.direct(r)
		switch got.Status {
		case http.StatusOK:
			if len(w.backend) != 1 || w.backend[0].body != string(body) || w.activated != nil {
				t.Errorf("%q %q: %d %v %v", body, rawQuery, len(w.backend), w.activated, w.backend)
			}
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge:
			if len(w.backend) != 0 || !strings.HasPrefix(got.Body, `{"status":`) {
				t.Errorf("%q %q: %s", body, rawQuery, got.Body)
			}
		default:
			t.Errorf("%q %q: %d %s", body, rawQuery, got.Status, got.Body)
		}
	})
}
