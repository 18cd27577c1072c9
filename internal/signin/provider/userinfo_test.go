package provider_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/signin"
)

// allButPicture is what an ID token says where only a picture is missing.
func allButPicture() map[string]any {
	return map[string]any{"preferred_username": "Ann", "email": "ann@acme.example", "email_verified": true, "groups": []string{"players"}}
}

// brokenUserInfo are endpoints that do not tell what they should.
var brokenUserInfo = map[string]http.HandlerFunc{
	"a status": func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("Authorization"), http.StatusInternalServerError)
	},
	"another": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
	"no JSON": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, //nolint:errcheck // a test
	"another user": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"sub":"bob","picture":"https://b.example/"}`)
	}, //nolint:errcheck // a test
	"nobody":        func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"picture":"https://b.example/"}`) }, //nolint:errcheck // a test
	"a closed line": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
}

func TestAUserinfoEndpointThatFailsCostsAPictureAndNoSignIn(t *testing.T) {
	core, log := observer.New(zapcore.InfoLevel)
	f := providertest.New(t)
	now := time.Now()
	method := f.Method(func(o *provider.Options) { o.Log, o.Now = zap.New(core), func() time.Time { return now } })
	for range 2 {
		for name, broken := range brokenUserInfo {
			f.Set(func() { f.Claims, f.Handle["/userinfo"] = allButPicture(), broken })
			for range 3 {
				u, err := method.Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
				if err != nil || u.Name != "Ann" || u.Email != "ann@acme.example" || len(u.Groups) != 1 || u.Avatar != "" {
					t.Errorf("%s: %+v, %v", name, u, err)
				}
			}
		}
	}
	told := map[string]bool{}
	for _, l := range log.All() {
		text, _ := l.ContextMap()["error"].(string)
		if told[text] || strings.Contains(text, "an access token") || l.Level != zapcore.WarnLevel {
			t.Errorf("a line too many, or with a secret: %s", text)
		}
		told[text] = true
	}
	if len(told) != len(brokenUserInfo)-1 { // another user's, or nobody's, is one reason
		t.Errorf("the log tells %v", told)
	}
}

func TestWithoutAClaimThatCountsNobodySignsIn(t *testing.T) {
	for _, needed := range []string{"preferred_username", "email", "email_verified", "groups", "picture"} {
		for name, broken := range brokenUserInfo {
			f := providertest.New(t)
			claims := allButPicture()
			delete(claims, needed)
			f.Claims, f.Handle["/userinfo"] = claims, broken
			method := f.Method()
			if needed == "picture" {
				method.UseAvatar()
			}
			u, err := method.Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
			down := (*signin.DownError)(nil)
			if !errors.As(err, &down) && !errors.Is(err, signin.ErrAnswer) {
				t.Errorf("%s is missing, %s: %+v, %v", needed, name, u, err)
			}
			if err != nil && strings.Contains(err.Error(), "an access token") {
				t.Errorf("%s: the error has the access token: %v", name, err)
			}
		}
	}
}

func TestWhatIsNotTakenIsNotAskedFor(t *testing.T) {
	f := providertest.New(t)
	f.Claims = map[string]any{"preferred_username": "Ann"}
	f.Userinfo = maps.Clone(allButPicture())
	u, err := f.Method(func(o *provider.Options) {
		o.Claims = provider.Claims{Email: provider.ClaimOff, Avatar: provider.ClaimOff, Groups: provider.ClaimOff}
	}).Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
	if err != nil || u.Name != "Ann" || u.Email != "" || u.Groups != nil || f.Times("/userinfo") != 0 {
		t.Errorf("%+v, %v, asked %d times", u, err, f.Times("/userinfo"))
	}
	if _, err := provider.New(provider.Options{ID: "x", Issuer: "https://x.example", ClientID: "x", LinkEmail: "local", Claims: provider.Claims{Email: provider.ClaimOff}}); err == nil {
		t.Error("link_email without an address is taken")
	}
}

func TestClaimsWithinOthersAreTaken(t *testing.T) {
	f := providertest.New(t)
	f.Claims = map[string]any{"user": map[string]any{"name": "Ann", "mail": map[string]any{"address": "ann@acme.example", "verified": true}}}
	f.Userinfo = map[string]any{"user": map[string]any{"photo": "https://acme.example/a.png"}}
	u, err := f.Method(func(o *provider.Options) {
		o.Claims = provider.Claims{Username: "user.name", Email: "user.mail.address", EmailVerified: "user.mail.verified", Avatar: "user.photo"}
	}).Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
	if err != nil || u.Name != "Ann" || u.Email != "ann@acme.example" || u.Avatar != "https://acme.example/a.png" {
		t.Errorf("%+v, %v", u, err)
	}
}
