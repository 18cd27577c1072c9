package ssopin

import (
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-sso/caddy-sso"
)

const config = `{
	admin off
	auto_https off
	persist_config off
	storage file_system DIR
	sso {
		issuer http://PORTAL
		storage memory
		signin pin {
			file DIR/badges.txt
		}
		client 1 {
			public
			redirect_uri http://SITE/oauth2/callback
		}
	}
}

http://PORTAL {
	sso_portal
}

http://SITE {
	sso_gate {
		client 1
	}
	respond "hello {http.request.header.X-SSO-User}"
}
`

// A world is a portal, and a site behind a gate, that Caddy serves in this process.
type world struct {
	t                 *testing.T
	dir, portal, site string
	browser           *http.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// A reload closes idle connections, so none is kept.
	w := &world{t: t, dir: t.TempDir(), browser: &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
	for _, address := range []*string{&w.portal, &w.site} {
		l, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		*address = "localhost:" + port
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// load makes Caddy run the configuration with a file of badges.
func (w *world) load(badges string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "badges.txt"), []byte(badges), 0o600); err != nil {
		w.t.Fatal(err)
	}
	text := strings.NewReplacer("PORTAL", w.portal, "SITE", w.site, "DIR", w.dir).Replace(config)
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil || len(warnings) > 0 {
		w.t.Fatal(err, warnings)
	}
	if err := caddy.Load(adapted, true); err != nil {
		w.t.Fatal(err)
	}
}

// An answer is a response whose body was read.
type answer struct {
	*http.Response
	body string
}

func (w *world) send(method, target, contentType, body string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", contentType)
	resp, err := w.browser.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp, string(raw)}
}

var (
	action  = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	hidden  = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
	refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)
)

// signIn fills in the sign-in page, and goes where the answer leads.
func (w *world) signIn(page answer, number, pin string) answer {
	w.t.Helper()
	resolve := func(at answer, attribute string) string {
		target, err := at.Request.URL.Parse(html.UnescapeString(attribute))
		if err != nil {
			w.t.Fatal(err)
		}
		return target.String()
	}
	form := action.FindStringSubmatch(page.body)
	if form == nil {
		w.t.Fatalf("no sign-in page, but %s:\n%s", page.Status, page.body)
	}
	values := url.Values{"username": {number}, "password": {pin}}
	for _, field := range hidden.FindAllStringSubmatch(page.body, -1) {
		values.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	done := w.send(http.MethodPost, resolve(page, form[1]), "application/x-www-form-urlencoded", values.Encode())
	if onward := refresh.FindStringSubmatch(done.body); onward != nil {
		return w.send(http.MethodGet, resolve(done, onward[1]), "", "")
	}
	return done
}

func TestAUserSignsInThroughThePage(t *testing.T) {
	w := newWorld(t)
	badge := "4711 " + hashed(t, "0815") + "\n"
	w.load(badge)
	page := w.send(http.MethodGet, "http://"+w.site+"/", "", "")
	if got := w.signIn(page, "4711", "0000"); strings.Contains(got.body, "hello") {
		t.Errorf("a wrong PIN signs in: %s", got.body)
	}
	if got := w.signIn(page, "47 11", "0815"); got.body != "hello Badge 4711" {
		t.Errorf("%s: %s", got.Status, got.body)
	}

	w.load(badge + "4712 " + hashed(t, "1234"))
	if got := w.send(http.MethodGet, "http://"+w.site+"/", "", ""); got.body != "hello Badge 4711" {
		t.Errorf("after a reload: %s: %s", got.Status, got.body)
	}
	w.load("4711 " + hashed(t, "0816"))
	if got := w.send(http.MethodGet, "http://"+w.site+"/", "", ""); strings.Contains(got.body, "hello") {
		t.Errorf("under another PIN: %s", got.body)
	}
}

func TestAUserSignsInThroughTheLoginAPI(t *testing.T) {
	w := newWorld(t)
	w.load("4711 " + hashed(t, "0815"))
	token := func(pin string) answer {
		return w.send(http.MethodPost, "http://"+w.portal+"/api/oauth2/login/token?client_id=1", "application/json",
			`{"username":"4711","password":"`+pin+`"}`)
	}
	if got := token("0815"); got.StatusCode != http.StatusOK || !strings.Contains(got.body, `"access_token"`) {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	for range 5 {
		if got := token("0000"); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a wrong PIN: %s: %s", got.Status, got.body)
		}
	}
	if got := token("0815"); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("after as many failed attempts as are allowed: %s: %s", got.Status, got.body)
	}
}

func TestAMethodWithoutAFileIsAnErrorWithARemedy(t *testing.T) {
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\nsso {\nissuer http://localhost\nsignin pin\n}\n}\n"), nil)
	if err == nil || !strings.Contains(err.Error(), errNoFile.Error()) {
		t.Error(err)
	}
}
