package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// socket is a WebSocket through the gate, which echoes lines.
type socket struct {
	t    *testing.T
	conn net.Conn
	from *bufio.Reader
}

func echoing(t *testing.T) string {
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		conn, both, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n") //nolint:errcheck // the test sees it
		for line, err := both.ReadString('\n'); err == nil; line, err = both.ReadString('\n') {
			io.WriteString(conn, line) //nolint:errcheck // the test sees it
		}
	}))
	t.Cleanup(backend.Close)
	return strings.TrimPrefix(backend.URL, "http://")
}

// socket opens one as a user who is signed in.
func (v *visitor) socket() *socket {
	v.t.Helper()
	v.signIn("http://" + v.site + "/")
	conn, err := (&net.Dialer{}).DialContext(v.t.Context(), "tcp", v.site)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		v.t.Fatal(err)
	}
	r := v.request(http.MethodGet, "http://"+v.site+"/socket", "")
	for _, cookie := range v.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	if err := r.Write(conn); err != nil {
		v.t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		v.t.Fatalf("%v, %v", resp, err)
	}
	return &socket{v.t, conn, from}
}

func (s *socket) wantOpen(when string) {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, when+"\n"); err != nil {
		s.t.Fatalf("%s: %v", when, err)
	}
	if line, err := s.from.ReadString('\n'); err != nil || line != when+"\n" {
		s.t.Fatalf("%s the WebSocket answers %q, %v", when, line, err)
	}
}

func TestACustomerWhoIsAddedWhileCaddyRunsActivatesByBothGrants(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	c := customersOf(t)
	s := c.setup()
	s.handler = "reverse_proxy " + echoing(t)
	c.mustLoad(s)
	running, open := c.running(), c.visitor().socket()
	if c.has("acme") {
		t.Fatal("there is a customer already")
	}
	t.Setenv("ACME_TEST_SECRET", "the secret of acme")
	mustSSO(t, "", "license", "customer", "add", "acme", "--file", c.path, "--product", "demo", "--email-domain", "acme.example",
		"--issuer", provider.URL, "--client-id", "sso", "--client-secret", "{env.ACME_TEST_SECRET}", "--name", "Acme Incorporated")
	c.eventuallyHas("acme", true)
	open.wantOpen("after a customer came")

	at := c.arriveBy(c.visitor(), "acme", "code")
	if got := c.activate("acme", "code", at.Query().Get("code")); got.body != "the backend" {
		t.Errorf("by code: %s: %s", got.Status, got.body)
	}
	if r, _ := c.vendor.last(t, 1); r.Header.Get("X-SSO-User") != "ann" || r.Header.Get("X-SSO-License-Customer-Account") != "acme" {
		t.Errorf("the backend got %v", r.Header)
	}
	access := tokenOf(t, c.arriveBy(c.visitor(), "acme", "token"))
	if got := c.activate("acme", "id_token", access); got.body != "the backend" {
		t.Errorf("by token: %s: %s", got.Status, got.body)
	}
	// It is nobody else's sign-in method.
	for _, path := range []string{"/sso/sign_in", "/sso/account", "/sso/sign_in?" + authorize("1", "http://"+c.site+"/oauth2/callback")} {
		if got := c.visitor().get("http://" + c.portal + path); strings.Contains(strings.ToLower(got.body), "acme") {
			t.Errorf("%s names the customer: %s", path, got.body)
		}
	}
	// What a customer's user has opens nothing but the customer's products.
	user := c.visitor()
	c.arriveBy(user, "acme", "code")
	if got := user.getOnce("http://" + c.site + "/"); got.StatusCode != http.StatusFound {
		t.Errorf("a customer's user at a gate: %s", got.Status)
	}
	mustSSO(t, "", "license", "customer", "remove", "acme", "--file", c.path)
	c.eventuallyHas("acme", false)
	open.wantOpen("after a customer went")
	if c.running() != running {
		t.Error("it took a reload")
	}
}

func TestASignInThatIsUnderWayEndsAsTheFileSaysThen(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	acme, other := customerAt("acme", "acme", provider, ""), customerAt("other", "other", provider, "")
	for name, after := range map[string]struct {
		lines    string
		finishes bool
	}{
		"another customer came":         {acme + other, true},
		"the provider has a new secret": {strings.Replace(acme, "hunter2", "hunter3", 1), true},
		"the customer is gone":          {other, false},
		"the customer is disabled":      {other + customerAt("acme", "acme", provider, `,"disabled":true`), false},
	} {
		t.Run(name, func(t *testing.T) {
			c := customersOf(t, acme)
			v := c.visitor()
			host := strings.TrimPrefix(provider.URL, "http://")
			away, page := v.towards(c.sso("acme", "code").link(t), host)
			if away == nil {
				t.Fatalf("%s: %s", page.Status, page.body)
			}
			c.write(after.lines, customerAt("last", "last", provider, ""))
			c.eventuallyHas("last", true)
			at, page := v.towards(away.String(), "app.example")
			if (at != nil) != after.finishes {
				t.Fatalf("the browser is sent to %v; %s: %s", at, page.Status, page.body)
			}
			if !after.finishes && (page.StatusCode != http.StatusNotFound || !strings.Contains(page.body, "Your organisation cannot sign in here")) {
				t.Errorf("%s: %s", page.Status, page.body)
			}
		})
	}
}

// The provider takes its time, and the customer goes meanwhile.
func TestACustomerWhoGoesWhileItsProviderAnswersSignsNobodyIn(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	c := customersOf(t, customerAt("acme", "acme", provider, ""))
	followed, answering := c.running().customers, provider.Config.Handler
	provider.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			c.write("\n")
			for deadline := time.Now().Add(8 * time.Second); followed.Account("acme") != nil && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
		}
		answering.ServeHTTP(w, r)
	})
	at, page := c.visitor().towards(c.sso("acme", "code").link(t), "app.example")
	if at != nil || page.StatusCode != http.StatusNotFound || !strings.Contains(page.body, "Your organisation cannot sign in here") {
		t.Errorf("the browser is sent to %v; %s: %s", at, page.Status, page.body)
	}
	if n := len(c.sessions()); n != 0 {
		t.Errorf("%d sessions have begun", n)
	}
}

func TestNothingOfADisabledCustomerCounts(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	c := customersOf(t, customerAt("acme", "acme", provider, ""), `{"code":"branch","products":["demo"],"signin":["local"]}`+"\n")
	user, link := c.visitor(), c.sso("acme", "code").link(t)
	code, access := c.arriveBy(user, "acme", "code").Query().Get("code"), tokenOf(t, c.arriveBy(user, "acme", "token"))
	local := c.visitor()
	local.signIn("http://" + c.site + "/")
	branch := tokenOf(t, c.arriveBy(local, "branch", "token"))
	for name, token := range map[string]string{"acme": access, "branch": branch} {
		if said := c.introspected(token); !strings.Contains(said, `"active":true`) {
			t.Fatalf("%s: %s", name, said)
		}
	}
	for _, customer := range []string{"acme", "branch"} {
		mustSSO(t, "", "license", "customer", "disable", customer, "--file", c.path)
		c.eventuallyHas(customer, false)
	}
	disabled, unknown := c.sso("acme", "code"), c.sso("nobody", "code")
	if disabled.body != unknown.body || disabled.StatusCode != unknown.StatusCode || !strings.Contains(disabled.body, "customer_account_not_found") {
		t.Errorf("a disabled customer is told from an unknown one: %s, %s", disabled.body, unknown.body)
	}
	for what, got := range map[string]answered{
		"a code": c.activate("acme", "code", code), "a token": c.activate("acme", "id_token", access), "a local user's token": c.activate("branch", "id_token", branch),
	} {
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, "customer_account_not_found") {
			t.Errorf("%s activates: %s: %s", what, got.Status, got.body)
		}
	}
	for name, token := range map[string]string{"acme": access, "branch": branch} {
		if said := c.introspected(token); !strings.Contains(said, `"active":false`) {
			t.Errorf("%s: %s", name, said)
		}
	}
	if got := c.visitor().get(link); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, "Your organisation cannot sign in here") {
		t.Errorf("a link: %s: %s", got.Status, got.body)
	}
	if got := local.get("http://" + c.site + "/"); got.body != "hello demo" {
		t.Errorf("a local user is signed out: %s", got.Status)
	}
	eventually(t, "only the local user has a session", func() bool { return len(c.sessions()) == 1 })
	mustSSO(t, "", "license", "customer", "enable", "acme", "--file", c.path)
	c.eventuallyHas("acme", true)
	if got := c.activate("acme", "id_token", access); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token of before: %s: %s", got.Status, got.body)
	}
	if got := user.get("http://" + c.portal + "/sso/account"); strings.Contains(got.body, "ann") {
		t.Errorf("a session of before is back: %s", got.body)
	}
	c.arriveBy(c.visitor(), "acme", "code")
}

// Another process may have been told, or the server was away meanwhile.
func TestWhatACustomerHadWhoIsDisabledAtAStartIsOver(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	c := customersOf(t, customerAt("acme", "acme", provider, ""))
	c.arriveBy(c.visitor(), "acme", "code")
	s := c.setup()
	s.global += "\ncodes {\ncapacity 17\n}"
	c.write(customerAt("acme", "acme", provider, `,"disabled":true`))
	c.mustLoad(s)
	eventually(t, "nothing is left in the store", func() bool { return len(c.sessions()) == 0 })
}

func TestClass14WhoGetsTheIDOfAProviderAfterAnotherCustomerHasNothingOfTheirs(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	c := customersOf(t, customerAt("acme", "idp", provider, ""))
	user := c.visitor()
	c.arriveBy(user, "acme", "code")
	c.write(customerAt("umbrella", "idp", provider, ""))
	c.eventuallyHas("umbrella", true)
	host := strings.TrimPrefix(provider.URL, "http://")
	if at, page := user.towards(c.sso("umbrella", "code").link(t), host); at == nil {
		t.Errorf("a session of acme's counts for umbrella: %s at %s", page.Status, page.Request.URL)
	}
	c.write(customerAt("acme", "idp", provider, ""))
	c.eventuallyHas("acme", true)
	if at, page := user.towards(c.sso("acme", "code").link(t), "app.example"); at == nil {
		t.Errorf("with the very same line the session is not back: %s at %s", page.Status, page.Request.URL)
	}
}

func TestAFileOfCustomersThatCannotCountIsRefusedAtLoad(t *testing.T) {
	c := customersOf(t)
	running := c.running()
	for name, spoil := range map[string]func() error{
		"make it with: caddy sso license customer add": func() error { return os.Remove(c.path) },
		"is empty": func() error { return os.WriteFile(c.path, nil, 0o600) },
		"looks cut off": func() error {
			return os.WriteFile(c.path, []byte(`{"code":"x","products":["demo"],"signin":["local"]}`+"\n"+`{"co`), 0o600)
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s := c.setup()
		s.global += "\ncodes {\ncapacity 18\n}"
		config, err := adapt(c.caddyfile(s))
		if name == "is empty" { // which is so on any machine
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("caddy adapt: %v", err)
			}
			continue
		}
		if err != nil || validate(config) != nil {
			t.Errorf("caddy adapt: %v; caddy validate: %v", err, validate(config))
		}
		if err := c.load(s); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.running() != running {
		t.Error("the configuration that works was replaced")
	}
}

// Kubernetes changes a file by replacing the link to its folder.
func TestAFileOfCustomersBehindLinksIsFollowed(t *testing.T) {
	c := customersOf(t)
	folder := func(name, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(c.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.dir, name, "customers.jsonl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, at string) {
		t.Helper()
		at = filepath.Join(c.dir, at)
		if err := os.Symlink(to, at+".tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at+".tmp", at); err != nil {
			t.Fatal(err)
		}
	}
	line := func(code string) string {
		return `{"code":"` + code + `","products":["demo"],"signin":["local"]}` + "\n"
	}
	folder("1", line("acme"))
	folder("2", line("blue"))
	link("1", "..data")
	link(filepath.Join("..data", "customers.jsonl"), "customers.jsonl")
	c.eventuallyHas("acme", true)
	link("2", "..data")
	c.eventuallyHas("blue", true)
	if c.has("acme") {
		t.Error("the customer of before is still there")
	}
	if err := os.Remove(filepath.Join(c.dir, "..data")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is logged", func() bool {
		log, _ := c.logged()
		return strings.Contains(log, "the file of customers cannot be read")
	})
	if !c.has("blue") {
		t.Error("a file that is gone loses a customer")
	}
}
