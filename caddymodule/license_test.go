package caddymodule

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/command"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
)

const (
	licenseShared = "kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja"

	// licensed is what a test adds to the option sso.
	licensed = `client 2 {
			public
			redirect_uri https://app.example/sso
			token_alg ES256
		}
		client 3 {
			secret hunter2hunter2hunter2
			redirect_uri https://back.example/
			token_alg ES256
		}
		license {
			signature_key DIR/license.pem
			api_key key {env.LICENSE_TEST_SHARED_KEY}
			api_key old ` + licenseShared + ` revoked
			bearer_client 3
			customer_account acme {
				signin local
				email_domain example.com
			}
			customer_account others {
				signin local
				email_domain elsewhere.example
			}
			product demo {
				client 2
				redirect_uri http://localhost https://app.example/sso
				response_type code token
				customer_account acme others
				PROVISION
			}
		}`
)

// A vendor is the backend of the License API, which remembers what it got.
type vendor struct {
	*httptest.Server
	mu   sync.Mutex
	got  []*http.Request
	body []string
}

func newVendor(t *testing.T) *vendor {
	v := new(vendor)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.got, v.body = append(v.got, r), append(v.body, string(body))
		io.WriteString(w, "the backend") //nolint:errcheck // the client went away
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) last(t *testing.T, n int) (*http.Request, string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.got) != n {
		t.Fatalf("the backend was asked %d times, want %d", len(v.got), n)
	}
	return v.got[n-1], v.body[n-1]
}

// loadLicensed runs Caddy with licensed software, and returns the address of
// the gate before the vendor's backend.
func (w *world) loadLicensed(v *vendor, provision string) string {
	w.t.Helper()
	w.t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	backend := freeAddr(w.t)
	w.mustLoad(setup{global: strings.Replace(licensed, "PROVISION", provision, 1), sites: "http://" + backend + ` {
		sso_gate {
			license_activation
		}
		reverse_proxy ` + strings.TrimPrefix(v.URL, "http://") + "\n}\n"})
	return backend
}

// signed asks for an endpoint, with a signature of caddy sso license sign.
func (v *visitor) signed(target string) answered {
	v.t.Helper()
	headers, err := v.offline("license", "sign", "--api-key", "key", "--shared-key", licenseShared)
	if err != nil {
		v.t.Fatal(err)
	}
	r := v.request(http.MethodGet, target, "")
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		r.Header.Set(name, value)
	}
	return v.send(r)
}

// link is the URL in an answer of sso_url.
func (got answered) link(t *testing.T) string {
	t.Helper()
	var body struct{ URL string }
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", got.Status, got.body, err)
	}
	return body.URL
}

// arrive signs in at a link, and returns where the browser is sent: nobody
// listens there.
func (v *visitor) arrive(link string) *url.URL {
	v.t.Helper()
	var at *url.URL
	v.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host != v.portal {
			at = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	page := v.get(link)
	if at == nil {
		page = v.submit(page, "demo", "demo")
	}
	if at == nil {
		v.t.Fatalf("nobody was sent anywhere: %s at %s: %s", page.Status, page.Request.URL, page.body)
	}
	return at
}

// post sends an activation to the gate.
func (v *visitor) post(target, body string) answered {
	v.t.Helper()
	r := v.request(http.MethodPost, target, body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-SSO-User", "admin")
	return v.send(r)
}

func TestLicensedSoftwareIsActivatedByACode(t *testing.T) {
	w, v := newWorld(t), newVendor(t)
	told := newVendor(t)
	backend := w.loadLicensed(v, "provision "+told.URL+"/users \"a secret of some length\"")
	app := w.visitor()
	const query = "/api/v4/sso_url?product=demo&customer_account_code=acme&redirect_uri=http://localhost:4711"
	for _, base := range []string{w.portal, backend} { // one base URL is enough
		link := app.signed("http://" + base + query).link(t)
		at := w.visitor().arrive(link)
		if at.Host != "localhost:4711" || at.Query().Get("code") == "" {
			t.Fatalf("the browser is sent to %s", at)
		}
		before := len(v.got)
		body := `{"hardware_id":"h", "product":"demo","customer_account_code":"acme","code":"` + at.Query().Get("code") + `"}`
		if got := app.post("http://"+backend+"/api/v4/activate_license", body); got.body != "the backend" {
			t.Fatalf("%s: %s", got.Status, got.body)
		}
		r, seen := v.last(t, before+1)
		if seen != body || r.Header.Get("X-SSO-User") != "demo" || r.Header.Get("X-SSO-License-Product") != "demo" || r.Header.Get("X-SSO-License-Customer-Account") != "acme" {
			t.Errorf("the backend got %v %s", r.Header, seen)
		}
		other := strings.Replace(body, `"h"`, `"i"`, 1)
		if got := app.post("http://"+backend+"/api/v4/activate_license", other); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, `"code":"invalid_code"`) {
			t.Errorf("a second use: %s: %s", got.Status, got.body)
		}
		v.last(t, before+1)
	}
	if r, body := told.last(t, 1); r.URL.Path != "/users" || !strings.Contains(body, `"name":"demo"`) {
		t.Errorf("the backend was told %s", body)
	}
}

func TestLicensedSoftwareIsActivatedByAToken(t *testing.T) {
	w, v := newWorld(t), newVendor(t)
	backend := w.loadLicensed(v, "")
	app := w.visitor()
	at := w.visitor().arrive(app.signed("http://" + w.portal + "/api/v4/sso_url/?product=demo&customer_account_code=acme&response_type=token").link(t))
	fragment, err := url.ParseQuery(at.Fragment)
	if err != nil || at.RawQuery != "" {
		t.Fatalf("the browser is sent to %s", at)
	}
	for n, name := range []string{"id_token", "access_token"} {
		got := app.post("http://"+backend+"/api/v4/floating/borrow", `{"product":"demo","customer_account_code":"acme","id_token":"`+fragment.Get(name)+`"}`)
		if got.body != "the backend" {
			t.Fatalf("%s: %s", got.Status, got.body)
		}
		if r, _ := v.last(t, n+1); r.Header.Get("X-SSO-User") != "demo" {
			t.Errorf("the backend got %v", r.Header)
		}
	}
	if got := app.post("http://"+backend+"/api/v4/activate_license", `{"license_key":"k"}`); got.body != "the backend" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	if r, _ := v.last(t, 3); r.Header.Get("X-SSO-User") != "" {
		t.Errorf("the backend got %v", r.Header)
	}
}

func TestNobodyOfAnotherCustomerGetsACode(t *testing.T) {
	w, v := newWorld(t), newVendor(t)
	w.loadLicensed(v, "")
	link, err := w.command("license", "url", "--product", "demo", "--customer-account", "others")
	if err != nil {
		t.Fatal(err)
	}
	browser := w.visitor()
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host != w.portal {
			t.Errorf("the browser is sent to %s", r.URL)
			return http.ErrUseLastResponse
		}
		return nil
	}
	browser.submit(browser.get(strings.TrimSpace(link)), "demo", "demo")
}

func TestTheSignatureKeyOutlivesARestartAndIsServed(t *testing.T) {
	w, v := newWorld(t), newVendor(t)
	w.loadLicensed(v, "")
	got := w.visitor().signed("http://" + w.portal + "/api/v4/sso_url?product=demo&customer_account_code=acme")
	signature, err := base64.StdEncoding.DecodeString(got.Header.Get("LicenseSignature"))
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(filepath.Join(w.dir, "license.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	w.loadLicensed(v, "")
	served := w.visitor().get("http://" + w.portal + licenseapi.PublicKeyPath)
	block, _ := pem.Decode([]byte(served.body))
	if block == nil {
		t.Fatalf("%s: %s", served.Status, served.body)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(got.body))
	if err := rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, sum[:], signature); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(filepath.Join(w.dir, "license.pem")); err != nil || string(after) != string(private) {
		t.Errorf("the key has changed: %v", err)
	}
}

func TestASignatureKeyThatIsNoneKeepsCaddyFromStarting(t *testing.T) {
	w := newWorld(t)
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	if err := os.WriteFile(filepath.Join(w.dir, "license.pem"), []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := w.load(setup{global: strings.Replace(licensed, "PROVISION", "", 1)})
	if err == nil || !strings.Contains(err.Error(), "is no RSA key in PEM; make one with") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// Without a file all nodes that share Caddy's storage share the key.
func TestWithoutAFileTheSignatureKeyIsWithTheOthers(t *testing.T) {
	w := newWorld(t)
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	w.mustLoad(setup{global: strings.NewReplacer("PROVISION", "", "signature_key DIR/license.pem", "").Replace(licensed)})
	if _, err := os.Stat(filepath.Join(w.dir, "caddy", "sso", "keys", "license-signature")); err != nil {
		t.Error(err)
	}
	if got := w.visitor().get("http://" + w.portal + licenseapi.PublicKeyPath); !strings.HasPrefix(got.body, "-----BEGIN PUBLIC KEY-----") {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

func TestAPortalWithoutALicenseHasNoLicenseAPI(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{portal: "respond mine"})
	for _, path := range []string{"/api/v4/sso_url", "/api/v4/oauth_url", licenseapi.PublicKeyPath} {
		if got := w.visitor().get("http://" + w.portal + path); got.body != "mine" {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	if _, err := w.command("license", "url", "--product", "demo", "--customer-account", "acme"); err == nil || !strings.Contains(err.Error(), "the active configuration has no license") {
		t.Error(err)
	}
}

func TestWithoutItsStoreALicenseGateLetsNothingThrough(t *testing.T) {
	w, v := newWorld(t), newVendor(t)
	w.t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	backend := freeAddr(t)
	w.mustLoad(setup{
		storage: "storage redis redis://" + freeAddr(t) + " {\nstorage_key 0123456789abcdef0123456789abcdef\n}",
		global:  strings.NewReplacer("PROVISION", "", "signature_key DIR/license.pem", "").Replace(licensed),
		sites:   "http://" + backend + " {\nsso_gate {\nlicense_activation\n}\nreverse_proxy " + strings.TrimPrefix(v.URL, "http://") + "\n}\n",
	})
	app := w.visitor()
	for _, got := range []answered{
		app.post("http://"+backend+"/api/v4/activate_license", `{"product":"demo","customer_account_code":"acme","code":"`+strings.Repeat("A", 43)+`"}`),
		app.signed("http://" + w.portal + "/api/v4/sso_url?product=demo&customer_account_code=acme"),
		app.signed("http://" + w.portal + "/api/v4/oauth_url"),
	} {
		if got.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(got.body, `{"status":503,"code":"service_unavailable"`) || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", got.Status, got.body)
		}
	}
	if len(v.got) != 0 {
		t.Error("the backend was asked")
	}
}

func TestTheCommandsOfTheLicenseAPI(t *testing.T) {
	w, v := newWorld(t), newVendor(t)
	w.loadLicensed(v, "")
	out, err := w.offline("license", "sign", "--api-key", "key", "--shared-key", licenseShared, "--date", "Tue, 07 Jun 2011 20:51:35 GMT")
	const want = "Date: Tue, 07 Jun 2011 20:51:35 GMT\nAuthorization: algorithm=\"hmac-sha256\", headers=\"date\", " +
		"signature=\"UDysfR6MndUZReo07Y9r+vErn8vSxrnQ5ulit18iJ/Q=\", apikey=\"key\"\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	t.Setenv(command.SharedKeyVariable, licenseShared)
	if out, err := w.offline("license", "sign", "--api-key", "key", "--date", "Tue, 07 Jun 2011 20:51:35 GMT"); err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	t.Setenv(command.SharedKeyVariable, "")
	for _, args := range [][]string{
		{"license", "sign", "--api-key", "key"},
		{"license", "sign", "--shared-key", licenseShared},
		{"license", "sign", "--api-key", "k\r\nX: y", "--shared-key", licenseShared},
	} {
		if out, err := w.offline(args...); err == nil || out != "" {
			t.Errorf("%q: %v %s", args, err, out)
		}
	}
	for _, args := range [][]string{
		{"license", "url", "--product", "nope", "--customer-account", "acme"},
		{"license", "url"},
		{"license", "url", "--product", "demo", "--customer-account", "acme", "--redirect-uri", "https://evil.example/"},
	} {
		if out, err := w.command(args...); err == nil || out != "" {
			t.Errorf("%q: %v %s", args, err, out)
		}
	}
	link, err := w.command("license", "url", "--product", "demo", "--customer-account", "acme", "--response-type", "token", "--redirect-uri", "http://localhost:99")
	if err != nil {
		t.Fatal(err)
	}
	if at := w.visitor().arrive(strings.TrimSpace(link)); at.Host != "localhost:99" || at.Fragment == "" {
		t.Errorf("it leads to %s", at)
	}
}
