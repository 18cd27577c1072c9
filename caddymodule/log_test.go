package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/httphandler"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// withLog is a setup whose log is in a file, which [world.logged] reads.
func (s setup) withLog() setup {
	s.options += "\nlog {\noutput file DIR/caddy.log\nformat json\n}\n"
	return s
}

// A logLine is what the tests read of a line.
type logLine struct {
	Level   string `json:"level"`
	Logger  string `json:"logger"`
	Text    string `json:"msg"`
	Why     string `json:"why"`
	Client  string `json:"client"`
	LeftOut int    `json:"left_out"`
	Times   int    `json:"times"`
	Status  int    `json:"status"`
	Path    string `json:"path"`
}

// logged is the whole log of a world, and its lines.
func (w *world) logged() (string, []logLine) {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "caddy.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	var lines []logLine
	for line := range bytes.Lines(raw) {
		var l logLine
		if err := json.Unmarshal(line, &l); err != nil {
			w.t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, l)
	}
	return string(raw), lines
}

// flooded does what anybody can, over and over.
func (w *world) flooded(times int) {
	portal, callback := "http://"+w.portal, "http://"+w.site+"/oauth2/callback"
	v := w.visitor()
	begun := v.getOnce("http://" + w.site + "/oauth2/sign_in?return=/")
	state, err := begun.Location()
	if err != nil {
		w.t.Fatalf("%v, %s", err, begun.Status)
	}
	button := buttonOf(w.t, v.get("http://"+w.site+"/"), "/sso/with/acme")
	form := func(path string, values url.Values) {
		v.send(v.request(http.MethodPost, portal+path, values.Encode()))
	}
	for i := range times {
		r := v.request(http.MethodGet, portal+"/api/oauth2/clear_sso", "")
		r.Header.Set("Origin", fmt.Sprintf("https://%d.example", i))
		v.send(r)
		form("/api/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"1"}, "redirect_uri": {callback}, "code": {"made-up"}, "code_verifier": {verifier}})
		form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"1"}, "refresh_token": {"made-up"}})
		form("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"3"}, "client_secret": {"wrong"}, "code": {"x"}})
		form("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"77"}, "client_secret": {"wrong"}, "code": {"x"}})
		v.api("/api/oauth2/login/token?client_id=1", credentials{"demo", "wrong"})
		v.getOnce(callback + "?code=made-up&state=" + url.QueryEscape(state.Query().Get("state")))
		v.getOnce(button)
	}
}

func TestClass24WhatAnybodyCanBringAboutHasFewLinesInTheAuditLog(t *testing.T) {
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	w := newWorld(t)
	gate := freeAddr(t)
	w.mustLoad(setup{
		global: strings.Replace(licensed, "PROVISION", "", 1) + "\nsignin oidc acme {\nissuer http://" + freeAddr(t) + "\nclient_id x\n}",
		local:  "user ann HASH\nattempts {\nper_account 5\nper_address 1000\n}",
		sites:  "http://" + gate + " {\nsso_gate {\nlicense_activation\n}\nrespond ok\n}\n",
	}.withLog())
	const times = 60
	w.flooded(times)
	app := w.visitor()
	for range times {
		for _, made := range []string{`"code":"made-up"`, `"id_token":"made-up"`} {
			app.post("http://"+gate+"/api/v4/activate_license", `{"product":"demo","customer_account_code":"acme",`+made+`}`)
		}
	}
	// What matters is there each time, also in the midst of all that.
	const signIns = 15
	for range signIns {
		v := w.visitor()
		v.submit(v.get("http://"+w.site+"/"), "ann", "demo")
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	type kind struct{ text, client, why string }
	shown, leftOut := map[kind]int{}, map[kind]int{}
	_, lines := w.logged()
	for _, l := range lines {
		if l.Logger != "sso.audit" {
			continue
		}
		why := l.Why
		for _, known := range []string{"the origin is not registered", "acme"} {
			if strings.HasPrefix(why, known+": ") {
				why = known
			}
		}
		k := kind{l.Text, l.Client, why}
		if leftOut[k] += l.LeftOut; l.LeftOut == 0 {
			shown[k]++
		}
	}
	for k, want := range map[kind]int{
		{"access denied", "", "the origin is not registered"}:                      times,
		{"code refused", "1", "unknown or expired"}:                                times, // of which the gate has asked for some
		{"token refused", "1", "not one of ours"}:                                  times,
		{"client refused", "", "Client authentication failed."}:                    times,
		{"client limited", "3", "too many wrong secrets from this address"}:        times - 30,
		{"sign-in limited", "1", ""}:                                               times - 2,
		{"sign-in failed", "1", "acme"}:                                            times,
		{"code refused", "2", "unknown or expired"}:                                times,
		{"license activation refused", "2", "product demo, customer account acme"}: 2 * times,
	} {
		if shown[k] != 10 || shown[k]+leftOut[k] < want {
			t.Errorf("%q: %d lines, and %d left out, of %d", k, shown[k], leftOut[k], want)
		}
	}
	for k, want := range map[kind]int{
		{"sign-in failed", "1", ""}: 2, {"sign-in", "1", ""}: signIns, {"code redeemed", "1", ""}: signIns,
	} {
		if shown[k] != want || leftOut[k] != 0 {
			t.Errorf("%q: %d lines, want %d; %d left out", k, shown[k], want, leftOut[k])
		}
	}
}

func TestClass24AnOutageHasFewLinesInTheLog(t *testing.T) {
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	server := redistest.Start(t)
	w := newWorld(t)
	w.mustLoad(setup{storage: "storage redis " + server.URL() + " " + redisKey, global: strings.Replace(licensed, "PROVISION", "", 1)}.withLog())
	known := w.visitor()
	known.signIn("http://" + w.site + "/")
	server.Stop()
	eventually(t, "the store is away", func() bool {
		return w.visitor().api("/api/oauth2/login/token?client_id=1", credentials{"demo", "demo"}).StatusCode == http.StatusTeapot
	})
	unknown := strings.Repeat("A", 43)
	for range 30 {
		v := w.visitor()
		sso := url.Values{"client_id": {"1"}, "response_type": {"code"}, "state": {"12345678"}, "redirect_uri": {"http://" + w.site + "/oauth2/callback"}}
		for _, target := range []string{"http://" + w.site + "/", "http://" + w.portal + "/sso/account", "http://" + w.portal + "/api/oauth2/sso?" + sso.Encode()} {
			r := v.request(http.MethodGet, target, "")
			for _, c := range known.Jar.Cookies(r.URL) {
				r.AddCookie(&http.Cookie{Name: c.Name, Value: unknown})
			}
			v.send(r)
		}
		v.send(v.request(http.MethodPost, "http://"+w.portal+"/oauth2/token",
			url.Values{"grant_type": {"authorization_code"}, "client_id": {"1"}, "redirect_uri": {"http://" + w.site + "/oauth2/callback"}, "code": {unknown}, "code_verifier": {verifier}}.Encode()))
	}
	_, lines := w.logged()
	errors := map[string]int{}
	for _, l := range lines {
		if l.Level == "error" || l.Level == "warn" && strings.HasPrefix(l.Logger, "sso") {
			errors[l.Text]++
		}
	}
	if len(errors) < 4 {
		t.Errorf("the log has no more kinds of errors than %v", errors)
	}
	for text, n := range errors {
		if n > 1 {
			t.Errorf("%q is there %d times", text, n)
		}
	}
}

func TestClass24ASecretInAnAddressIsNotLoggedWithAnError(t *testing.T) {
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	for name, handling := range map[string]string{
		"without error routes": "", "with error routes": "handle_errors {\nrespond \"sorry {err.status_code}\" {err.status_code}\n}",
		"with error routes that fail": "handle_errors {\nerror 500\n}",
	} {
		t.Run(name, func(t *testing.T) {
			w, gate := newWorld(t), freeAddr(t)
			away := "reverse_proxy " + freeAddr(t) + "\n" + handling + "\n"
			w.mustLoad(setup{
				global: strings.Replace(licensed, "PROVISION", "", 1), portal: away, gate: "fail_auth_url http://SITE/signed-out", handler: away,
				sites: "http://" + gate + " {\nsso_gate {\nlicense_activation\n}\n" + away + "}\n",
			}.withLog())
			app, v := w.visitor(), w.visitor()
			at := w.visitor().arrive(app.signed("http://" + w.portal + "/api/v4/sso_url?product=demo&customer_account_code=acme&response_type=token").link(t))
			fragment, err := url.ParseQuery(at.Fragment)
			if err != nil {
				t.Fatal(err)
			}
			live := fragment.Get("id_token")
			asks := func(v *visitor, target, referer string) {
				t.Helper()
				r := v.request(http.MethodGet, target, "")
				r.Header.Set("Referer", referer)
				got := v.send(r)
				want := http.StatusBadGateway
				if handling == "" || strings.Contains(handling, "respond") {
					if got.StatusCode != want || strings.Contains(handling, "respond") != (got.body == "sorry 502") {
						t.Errorf("%s: %s: %s", r.URL.Path, got.Status, got.body)
					}
				} else if got.StatusCode < 500 {
					t.Errorf("%s: %s", r.URL.Path, got.Status)
				}
			}
			asks(app, "http://"+gate+"/api/v4/user_licenses?product=demo&customer_account_code=acme&id_token="+live, "")
			asks(v, "http://"+w.site+"/signed-out?error=login_required&resume=secret-resume&state=secret-state", "")
			asks(v, "http://"+w.portal+"/elsewhere?code=secret-code&state=secret-state", "")
			asks(v, "http://"+w.portal+"/elsewhere?ti%63ket=secret-ticket", "")
			asks(v, "http://"+w.portal+"/style.css", "http://"+w.site+"/signed-out?resume=secret-resume")
			asks(v, "http://"+w.portal+"/without?a=b", "")
			text, lines := w.logged()
			for _, secret := range []string{live, "secret-resume", "secret-state", "secret-code", "secret-ticket"} {
				if strings.Contains(text, secret) {
					t.Errorf("the log has %s", secret)
				}
			}
			ours, theirs := 0, 0
			for _, l := range lines {
				switch {
				case strings.Contains(l.Text, "its query has a secret") && l.Status == http.StatusBadGateway && l.Path != "":
					ours++
				case l.Logger == "http.log.error":
					theirs++
				}
			}
			// Once error routes have dealt with an error, Caddy logs it at debug.
			if handled := strings.Contains(handling, "respond"); ours == 0 != handled || theirs == 0 != handled {
				t.Errorf("%d lines of ours, and %d of Caddy", ours, theirs)
			}
		})
	}
}

func TestTheExampleKeepsSecretsOutOfWhatCaddyLogs(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	_, snippet, _ := strings.Cut(string(example), "\n(without_secrets) {\n")
	filter, _, _ := strings.Cut(snippet, "\n}\n")
	for _, level := range []string{"INFO", "DEBUG"} {
		w, other := newWorld(t), freeAddr(t)
		w.mustLoad(setup{
			options: "log {\noutput file DIR/caddy.log\nlevel " + level + "\n" + filter + "\n}\n",
			sites:   "http://" + other + " {\nlog\nreverse_proxy " + freeAddr(t) + "\n}\n", // no gate, no portal
		})
		query := url.Values{}
		for _, name := range append([]string{"w"}, httphandler.SecretParams...) {
			query.Set(name, "a-secret")
		}
		v := w.visitor()
		r := v.request(http.MethodGet, "http://"+other+"/a?"+query.Encode(), "")
		r.Header.Set("Referer", "http://"+other+"/b?"+query.Encode())
		if got := v.send(r); got.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %s", got.Status, got.body)
		}
		text, _ := w.logged()
		if strings.Contains(text, "a-secret") || !strings.Contains(text, `"http.log.error"`) || !strings.Contains(text, `"http.log.access`) {
			t.Errorf("at level %s the log is\n%s", level, text)
		}
	}
}
