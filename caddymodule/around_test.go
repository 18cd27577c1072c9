package caddymodule

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// echo is a backend that answers with the identity it is told. Below /stream it
// goes on until its request ends.
func echo(t *testing.T) (address string) {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var told []string
		for name, values := range r.Header {
			if name == "X-Sso-User" || name == "Upgrade" || name == "Http2-Settings" || strings.HasPrefix(name, "X-Id-") {
				told = append(told, name+"="+strings.Join(values, "|"))
			}
		}
		fmt.Fprintf(w, "%s told %v\n", r.URL.Path, told)
		if strings.HasPrefix(r.URL.Path, "/stream") {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(backend.Close)
	return strings.TrimPrefix(backend.URL, "http://")
}

// around is a world with one more site, of client 2, and a backend.
type around struct {
	*world
	at, backend string
}

func newAround(t *testing.T) *around { return &around{newWorld(t), freeAddr(t), echo(t)} }

func (a *around) setup(site string) setup {
	return setup{
		options: "order sso_gate before redir",
		global:  "client 2 {\npublic\nredirect_uri http://" + a.at + "/oauth2/callback\ntoken_alg ES256\n}",
		sites:   strings.NewReplacer("AT", a.at, "BACKEND", a.backend, "GATE", "sso_gate {\nclient 2\n}\n").Replace(site),
	}
}

// forge sends a made-up identity.
func (a *around) forge(method, path string) answered {
	a.t.Helper()
	v := a.visitor()
	r := v.request(method, "http://"+a.at+path, "")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("X-SSO-User", "root")
	r.Header.Set("X-Id-User", "root")
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "h2c")
	r.Header.Set("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
	return v.send(r)
}

// anError is a method that Caddy answers with an error before any route.
const anError = "AMETHODTHATISLONGERTHANCADDYWILLHAVEIT"

func TestClass32NoRouteOfASiteWithAGateHandsAForgedIdentityOn(t *testing.T) {
	_, port, _ := strings.Cut(freeAddr(t), ":")
	for name, c := range map[string]struct{ site, method, path string }{
		"beside a gate in handle":           {"http://AT {\nhandle /open/* {\nreverse_proxy BACKEND\n}\nhandle {\nGATE respond gated\n}\n}", "GET", "/open/x"},
		"after a gate in handle":            {"http://AT {\nhandle /a/* {\nGATE\n}\nreverse_proxy BACKEND\n}", "GET", "/open"},
		"before a gate in route":            {"http://AT {\nroute {\nreverse_proxy /open/* BACKEND\nGATE respond gated\n}\n}", "GET", "/open/x"},
		"beside a gate that is invoked":     {"&(gated) {\nroute {\nGATE respond gated\n}\n}\nhttp://AT {\ninvoke /in/* gated\nreverse_proxy BACKEND\n}", "GET", "/open"},
		"by name":                           {"&(open) {\nreverse_proxy BACKEND\n}\nhttp://AT {\nhandle /open/* {\ninvoke open\n}\nhandle {\nGATE respond gated\n}\n}", "GET", "/open/x"},
		"in handle_response":                {"http://AT {\nhandle /open/* {\nreverse_proxy BACKEND {\nhandle_response {\nreverse_proxy BACKEND\n}\n}\n}\nhandle {\nGATE respond gated\n}\n}", "GET", "/open/x"},
		"for an error of Caddy's own":       {"http://AT {\nGATE respond gated\nhandle_errors {\nreverse_proxy BACKEND\n}\n}", anError, "/open"},
		"for an error of a matcher":         {"http://AT {\n@m expression `1/int({query.n}) == 1`\nroute {\nrespond @m no\nGATE respond gated\n}\nhandle_errors {\nreverse_proxy BACKEND\n}\n}", "GET", "/open?n=0"},
		"for errors, with gates by name":    {"&(gated) {\nroute {\nGATE respond gated\n}\n}\nhttp://AT {\ninvoke gated\nhandle_errors {\nreverse_proxy BACKEND\n}\n}", anError, "/open"},
		"by a gate for errors alone":        {"http://AT {\nreverse_proxy BACKEND\nhandle_errors {\nGATE respond gated\n}\n}", "GET", "/open"},
		"on a site for every host":          {"http://:" + port + " {\nhandle /open/* {\nreverse_proxy BACKEND\n}\nhandle {\nGATE respond gated\n}\n}", "GET", "/open/x"},
		"by name, on a site for every host": {"&(gated) {\nroute {\nGATE respond gated\n}\n}\nhttp://:" + port + " {\ninvoke /in/* gated\nreverse_proxy BACKEND\n}", "GET", "/open"},
		"with headers of its own":           {"http://AT {\nhandle /open/* {\nreverse_proxy BACKEND\n}\nhandle {\nsso_gate {\nclient 2\nheaders {\nX-Id-User {user.name}\n}\n}\nrespond gated\n}\n}", "GET", "/open/x"},
		"with a prefix of its own":          {"http://AT {\nhandle /open/* {\nreverse_proxy BACKEND\n}\nhandle {\nsso_gate {\nclient 2\nheader_prefix X-Id-\n}\nGATE respond gated\n}\n}", "GET", "/open/x"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAround(t)
			if strings.Contains(c.site, ":"+port) {
				a.at = "localhost:" + port
			}
			// Also where Caddy provisions the apps in the other order, and over reloads.
			for range 4 {
				a.mustLoad(a.setup(c.site))
				got := a.forge(c.method, c.path)
				path, _, _ := strings.Cut(c.path, "?")
				kept := "[X-Id-User=root]" // no gate owns it
				if strings.Contains(c.site, "X-Id-") {
					kept = "[]"
				}
				if got.body != path+" told "+kept+"\n" {
					t.Fatalf("%s: %s", got.Status, got.body)
				}
			}
		})
	}
}

// What sites without a gate do with such headers is their own affair.
func TestASiteWithoutAGateKeepsItsHeaders(t *testing.T) {
	a := newAround(t)
	_, port, _ := strings.Cut(a.at, ":")
	a.mustLoad(a.setup("http://localhost:" + port + " {\nreverse_proxy BACKEND\n}\nhttp://127.0.0.1:" + port + " {\nGATE respond gated\n}"))
	if got := a.forge("GET", "/"); !strings.Contains(got.body, "X-Sso-User=root") {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

// The same in JSON, which no Caddyfile makes: routes without subroutes.
func TestClass32RoutesThatAreWrittenInJSONHandNoForgedIdentityOn(t *testing.T) {
	a := newAround(t)
	_, port, _ := strings.Cut(a.at, ":")
	config, err := adapt(a.caddyfile(a.setup("http://:" + port + " {\nhandle {\nGATE\n}\n}")))
	if err != nil {
		t.Fatal(err)
	}
	old := `[{"handle":[{"handler":"subroute","routes":[{"handle":[{"client":"2","handler":"sso_gate"}]}]}]}]`
	if strings.Count(string(config), old) != 1 {
		t.Fatalf("%s", config)
	}
	proxy := `{"handler":"reverse_proxy","upstreams":[{"dial":"` + a.backend + `"}]}`
	config = []byte(strings.Replace(string(config), old, `[
		{"match":[{"path":["/gated/*","/oauth2/*"]}],"handle":[{"handler":"sso_gate","client":"2"},{"handler":"static_response","body":"gated"}]},
		{"match":[{"path":["/open/*"]}],"handle":[{"handler":"intercept"},`+proxy+`]}]`, 1))
	for range 4 {
		if err := loadJSON(object(t, config)); err != nil {
			t.Fatal(err)
		}
		if got := a.forge("GET", "/open/x"); got.body != "/open/x told [X-Id-User=root]\n" {
			t.Fatalf("%s: %s", got.Status, got.body)
		}
	}
}

// The first gate takes its cookies out of the headers, which an error route has,
// too; the second is to know the person all the same.
func TestClass32AGateInAnErrorRouteKnowsWhoIsSignedIn(t *testing.T) {
	for name, site := range map[string]string{
		"handle_errors":        "http://AT {\nGATE error /stream* 500\nrespond home\nhandle_errors {\nGATE reverse_proxy BACKEND\n}\n}",
		"by name":              "&(errors) {\nroute {\nGATE reverse_proxy BACKEND\n}\n}\nhttp://AT {\nGATE error /stream* 500\nrespond home\nhandle_errors {\ninvoke errors\n}\n}",
		"in handle_response":   "http://AT {\nGATE handle /stream* {\nreverse_proxy " + "BACKEND {\nrewrite /answer\nmethod GET\nhandle_response {\nGATE reverse_proxy BACKEND\n}\n}\n}\nrespond home\n}",
		"in a site by handles": "http://AT {\nhandle {\nGATE error /stream* 500\nrespond home\n}\nhandle_errors {\nGATE reverse_proxy BACKEND\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			a := newAround(t)
			a.mustLoad(a.setup(site))
			v := a.visitor()
			if got := v.signIn("http://" + a.at + "/"); got.body != "home" {
				t.Fatalf("%s: %s", got.Status, got.body)
			}
			r := v.request(http.MethodGet, "http://"+a.at+"/stream", "")
			r.Header.Set("X-SSO-User", "root")
			resp, err := v.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body := bufio.NewReader(resp.Body)
			if line, err := body.ReadString('\n'); line != "/stream told [X-Sso-User=demo]\n" {
				t.Fatalf("%s at %s: %q %v", resp.Status, resp.Request.URL, line, err)
			}

			if out := v.send(v.request(http.MethodPost, "http://"+a.at+"/oauth2/sign_out", "a=b")); out.StatusCode >= 400 {
				t.Fatalf("%s: %s", out.Status, out.body)
			}
			if rest, _ := io.ReadAll(body); len(rest) > 0 { // and it ends
				t.Errorf("the stream went on with %q", rest)
			}
			if got := v.getOnce("http://" + a.at + "/stream"); got.StatusCode != http.StatusFound {
				t.Errorf("signed out: %s", got.Status)
			}
		})
	}
}

// An error route without a gate before it in the site itself asks by itself.
func TestAGateForErrorsAloneSendsUnauthenticatedVisitorsToSignIn(t *testing.T) {
	a := newAround(t)
	a.mustLoad(a.setup("http://AT {\nhandle /oauth2/* {\nGATE\n}\nhandle {\nerror 404\n}\nhandle_errors {\nGATE reverse_proxy BACKEND\n}\n}"))
	v := a.visitor()
	if got := v.signIn("http://" + a.at + "/page"); got.body != "/page told [X-Sso-User=demo]\n" {
		t.Errorf("%s at %s: %s", got.Status, got.Request.URL, got.body)
	}
}
