package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestSameSiteNoneTakesAnHTTPSIssuer(t *testing.T) {
	good, err := adapt(spoil(t, "idle 24h", "idle 24h\nsame_site none"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(good); err != nil {
		t.Fatal(err)
	}
	config := object(t, good)
	place(t, config, inApp)["issuer"] = "http://localhost:8080"
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(raw); err == nil || !strings.Contains(err.Error(), "same_site none takes an https issuer") {
		t.Errorf("got %v", err)
	}
}

func TestTheSessionCookieHasTheConfiguredSameSite(t *testing.T) {
	issuer, err := url.Parse("https://login.example")
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]http.SameSite{sameSiteLax: http.SameSiteLaxMode, sameSiteNone: http.SameSiteNoneMode} {
		a := &App{issuer: issuer, Session: SessionConfig{SameSite: value}}
		if got := a.sessionCookie(); got.SameSite != want || !got.Secure {
			t.Errorf("%s: %+v", value, got)
		}
	}
}
