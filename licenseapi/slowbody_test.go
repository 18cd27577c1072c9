package licenseapi_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

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
		if !slow.deadline.IsZero() {
			t.Errorf("%s: the deadline holds for what comes after the body", name)
		}
		if late != (len(w.backend) == 0) || late != (slow.Code == http.StatusBadRequest) {
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
	return s.Body.Read(p)
}
