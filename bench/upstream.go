package main

import (
	"encoding/json"
	"net/http"
	"os"
	"time"
)

// Who the static headers and the forward_auth server say that everybody is: as
// long as what the gate says.
const (
	staticUser    = "user0000"
	staticSubject = "00000000-0000-4000-8000-000000000000"
	staticEmail   = "user0000@example.com"
	staticGroups  = "players"
)

var identityHeaders = []string{"X-Sso-User", "X-Sso-Subject", "X-Sso-Email", "X-Sso-Groups"}

// headersPath is where the upstream answers with the headers that it was sent,
// so that each row can be looked at before it is measured.
const headersPath = "/headers"

// socketPath is where the upstream takes a WebSocket, and says nothing more.
const socketPath = "/socket"

// upstream is the server behind all routes, and at /check the one that
// forward_auth asks. The address is in the environment.
func upstream() error {
	body := []byte("hello\n")
	plain := func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"text/plain"}
		_, _ = w.Write(body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", plain)
	mux.HandleFunc(headersPath, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(r.Header)
	})
	mux.HandleFunc(socketPath, func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = buffered.Flush()
		_, _ = buffered.ReadByte() // until it is closed
	})
	mux.HandleFunc("/check", func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for i, value := range []string{staticUser, staticSubject, staticEmail, staticGroups} {
			h[identityHeaders[i]] = []string{value}
		}
		w.WriteHeader(http.StatusOK)
	})
	server := http.Server{Addr: os.Getenv("BENCH_UPSTREAM"), Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}
