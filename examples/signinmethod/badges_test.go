package badges_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"

	_ "example.com/sso-badges"
	_ "github.com/caddy-sso/caddy-sso"
)

// start runs Caddy with a portal that has the method, and returns its URL.
func start(t *testing.T) string {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	config := fmt.Sprintf(`{
		admin off
		persist_config off
		sso {
			issuer http://%[1]s
			signin badges {
				badge 4711 0815
			}
		}
	}
	http://%[1]s {
		sso_portal
	}`, addr)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		t.Fatal(err)
	}
	var c caddy.Config
	if err := json.Unmarshal(adapted, &c); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Run(&c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	return "http://" + addr
}

func TestABadgeAndItsPINSignIn(t *testing.T) {
	portal := start(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	page := read(t, func() (*http.Response, error) { return browser.Get(portal + "/sso/sign_in") })
	transaction := regexp.MustCompile(`name="transaction" value="([^"]+)"`).FindStringSubmatch(page)
	if transaction == nil {
		t.Fatalf("no form: %s", page)
	}
	send := func(pin string) string {
		form := url.Values{"transaction": {transaction[1]}, "username": {"47 11"}, "password": {pin}}
		r, err := http.NewRequest(http.MethodPost, portal+"/sso/sign_in", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", portal)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		return read(t, func() (*http.Response, error) { return browser.Do(r) })
	}
	if wrong := send("0000"); !strings.Contains(wrong, "wrong") {
		t.Errorf("a wrong PIN: %s", wrong)
	}
	send("0815")
	if account := read(t, func() (*http.Response, error) { return browser.Get(portal + "/sso/account") }); !strings.Contains(account, "badge 4711") {
		t.Errorf("not signed in: %s", account)
	}
}

func read(t *testing.T, do func() (*http.Response, error)) string {
	t.Helper()
	resp, err := do()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
