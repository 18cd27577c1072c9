// Package remotetest is an operator's own backend for tests.
package remotetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
)

// WrongPassword is a backend's answer to a wrong password.
const WrongPassword = `{"error":"wrong"}` //nolint:gosec // what a backend answers

const SharedSecret = "a secret of some length"

// Backend is the operator's backend. Tests set its answers.
type Backend struct {
	*httptest.Server
	t testing.TB

	Mu     sync.Mutex
	answer http.HandlerFunc
	Asked  []remote.CredentialsQuestion
}

func NewBackend(t testing.TB) *Backend {
	b := &Backend{t: t}
	secret, err := signedhttp.NewSecret(SharedSecret)
	if err != nil {
		t.Fatal(err)
	}
	b.Says(http.StatusUnauthorized, WrongPassword)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		if err := secret.Verify(r.Header.Get(signedhttp.Header), body, time.Now(), time.Minute); err != nil {
			t.Error(err)
		}
		var q remote.CredentialsQuestion
		if err := json.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		b.Mu.Lock()
		b.Asked = append(b.Asked, q)
		answer := b.answer
		b.Mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *Backend) Answers(with http.HandlerFunc) {
	b.Mu.Lock()
	defer b.Mu.Unlock()
	b.answer = with
}

// Says answers with a status and a body.
func (b *Backend) Says(status int, body string) {
	b.Answers(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body) //nolint:errcheck // a test that cares sees it
	})
}

func (b *Backend) Questions() []remote.CredentialsQuestion {
	b.Mu.Lock()
	defer b.Mu.Unlock()
	asked := b.Asked
	b.Asked = nil
	return asked
}

func (b *Backend) Method(id string, timeout time.Duration) *remote.Backend {
	b.t.Helper()
	server, err := signedhttp.NewClient(b.URL+"/sign-in?a=private", SharedSecret, timeout, time.Now)
	if err != nil {
		b.t.Fatal(err)
	}
	return remote.NewBackend(id, "Accounts", server)
}

// Knowing answers like a backend that has one account under every name, and that
// names the account of a wrong password.
func (b *Backend) Knowing(subject, password string) {
	b.Answers(func(w http.ResponseWriter, _ *http.Request) {
		b.Mu.Lock()
		right := b.Asked[len(b.Asked)-1].Password == password
		b.Mu.Unlock()
		if !right {
			w.WriteHeader(http.StatusUnauthorized)
		}
		json.NewEncoder(w).Encode(map[string]any{"user": map[string]string{"subject": subject}}) //nolint:errcheck,errchkjson // strings
	})
}
