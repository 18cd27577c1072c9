package oidc_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oidc"
	"github.com/caddy-sso/caddy-sso/session"
)

func FuzzAuthorizeQuery(f *testing.F) {
	for _, query := range []string{
		app().Encode(), server().Encode(), app("prompt", "none").Encode(), app("max_age", "1", "auth_after", "1").Encode(), "handle=x&client_id=6",
		app("redirect_uri", "com.example.app:/cb").Encode(), "client_id=1;redirect_uri=x", "%zz=%zz&&=", app("redirect_uri", "http://127.0.0.1:1/callback", "response_type", "token").Encode(),
	} {
		f.Add(query)
	}
	w := newWorld(f)
	w.Server.Limits.PerSession = 1 << 20
	w.Server.Limits.Capacity = 1 << 20
	cookie, _ := w.signIn(session.User{Subject: "s", Signin: "local"})
	f.Fuzz(func(t *testing.T, query string) {
		request, refusal := oidc.ParseAuthorize(query)
		a := w.Direct(http.MethodGet, "/oauth2/authorize", query, "", "Cookie", cookie)
		if refusal != nil && a.Status != http.StatusBadRequest {
			t.Errorf("%v, and yet %d", refusal, a.Status)
		}
		if location := a.Location(); location != "" && !strings.HasPrefix(location, w.URL+"/hosted?") && !strings.HasPrefix(location, request.RedirectURI) {
			t.Errorf("leads to %q", location)
		}
		switch a.Status {
		case http.StatusFound, http.StatusOK, http.StatusBadRequest, http.StatusTooManyRequests:
		default:
			t.Errorf("status %d", a.Status)
		}
	})
}
