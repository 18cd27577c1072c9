package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Each HTTP API answers in its own format; an error would be logged by Caddy, with the
// query of the request.
func TestAPortalWithoutItsStoreAnswersByItself(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	app := w.running()
	w.mustLoad(setup{storage: "storage file DIR/sso.db"}) // which closes the other store
	core, log := observer.New(zapcore.DebugLevel)
	portal := &Portal{app: app, log: zap.New(core)}

	const failed = `{"error":{"code":"004-001","description":"Something went wrong.","details":{}}}` + "\n"
	for _, tt := range []struct {
		path   string
		status int
		body   string
		logged int
	}{
		{"/api/oauth2/auth", http.StatusTeapot, failed, 1},
		{"/api//oauth2/token", http.StatusTeapot, failed, 1},
		{"/api/projects/1/keys", http.StatusTeapot, failed, 1},
		{"/oauth2/authorize", http.StatusServiceUnavailable, "You have not been signed out.", 1},
		{"/oauth2/end_session", http.StatusServiceUnavailable, "You have not been signed out.", 1},
		{"/oauth2/token", http.StatusServiceUnavailable, `{"error":"server_error","error_description":"Something went wrong."}` + "\n", 1},
		{"/.well-known/openid-configuration", http.StatusServiceUnavailable, `"server_error"`, 1},
		{"/sso/sign_in", http.StatusServiceUnavailable, "Just a moment", 1},
		{"/sso/assets/none", http.StatusNotFound, "", 0},
		{"/elsewhere", http.StatusOK, "next", 0},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.path+"?code=private", nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		rec := httptest.NewRecorder()
		next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write([]byte("next"))
			return err
		})
		if err := portal.ServeHTTP(rec, r, next); err != nil {
			t.Errorf("%s: Caddy logs %v", tt.path, err)
		}
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.body) {
			t.Errorf("%s: %d %s", tt.path, rec.Code, rec.Body)
		}
		if tt.logged > 0 && rec.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After is %q", tt.path, rec.Header().Get("Retry-After"))
		}
		// A page tries again by itself, and what is for programs is asked by them.
		page := tt.path == "/api/oauth2/auth" || strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html")
		if refresh := rec.Header().Get("Refresh"); (refresh != "") != page {
			t.Errorf("%s: Refresh is %q", tt.path, refresh)
		}
		entries := log.TakeAll()
		if len(entries) != tt.logged {
			t.Errorf("%s: %d lines in the log", tt.path, len(entries))
		}
		for _, e := range entries {
			cause, _ := e.ContextMap()["error"].(string)
			if !strings.Contains(cause, storage.ErrUnavailable.Error()) || strings.Contains(cause, "private") {
				t.Errorf("%s: the log says %q", tt.path, cause)
			}
		}
	}
}
