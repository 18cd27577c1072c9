package signedhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
)

func TestAServerThatHangsIsNotWaitedForBeyondTheTimeout(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"no answer":             func(http.ResponseWriter) {},
		"an answer without end": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK); w.(http.Flusher).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			hangs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				answer(w)
				<-over
			}))
			t.Cleanup(hangs.Close)
			t.Cleanup(func() { close(over) })
			server, err := signedhttp.NewClient(hangs.URL, "a secret of sixteen characters", 50*time.Millisecond, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if status, _, err := server.Post(t.Context(), "hello"); err == nil {
				t.Errorf("a server that hangs answered with %d", status)
			}
		})
	}
}
