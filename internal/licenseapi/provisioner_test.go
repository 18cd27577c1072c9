package licenseapi_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const provisionSecret = "a secret of some length"

func provisioner(t *testing.T, url string) *licenseapi.Provisioner {
	t.Helper()
	p, err := licenseapi.NewProvisioner(url, provisionSecret, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var first = oauth.FirstSignIn{Product: "demo", Account: "acme", User: ada, At: start}

func TestABackendIsToldOfAFirstSignInSigned(t *testing.T) {
	var body, signature, contentType string
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.RequestURI() != "/users?a=b" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		body, signature, contentType = string(read), r.Header.Get("X-SSO-Signature"), r.Header.Get("Content-Type")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, strings.Repeat("x", 1<<20)) //nolint:errcheck // nobody reads it all
	}))
	defer backend.Close()
	if err := provisioner(t, backend.URL+"/users?a=b").Provision(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	const want = `{"event":"first_sign_in","product":"demo","customer_account":"acme","user":{"subject":"7e0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11",` +
		`"name":"ada","email":"ada@acme.example","groups":["makers"]},"at":"2011-06-07T20:51:35Z"}`
	if body != want || contentType != "application/json" {
		t.Errorf("got %s %s\nwant %s", contentType, body, want)
	}
	mac := hmac.New(sha256.New, []byte(provisionSecret))
	mac.Write([]byte("1307479895." + want))
	if signature != "t=1307479895,v1="+hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("the signature is %s", signature)
	}
}

func TestABackendThatDoesNotTakeItIsAnError(t *testing.T) {
	for _, status := range []int{301, 302, 307, 400, 401, 404, 500, 503} {
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect is followed") }))
		backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
		}))
		if err := provisioner(t, backend.URL).Provision(t.Context(), first); err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v", status, err)
		}
		backend.Close()
		elsewhere.Close()
	}
	backend := httptest.NewServer(http.NotFoundHandler())
	backend.Close()
	err := provisioner(t, backend.URL+"/?token=hunter2").Provision(t.Context(), first)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("of a backend that is away: %v", err)
	}
}

func TestOnlyURLsThatKeepASecretAreTaken(t *testing.T) {
	for url, want := range map[string]string{
		"https://backend.example/users":   "",
		"http://localhost:9000":           "",
		"http://127.0.0.1/x":              "",
		"http://[::1]:1/":                 "",
		"http://backend.example/":         "expected https",
		"ftp://backend.example/":          "expected https",
		"https://u:p@backend.example/":    "expected the URL",
		"https://backend.example/#x":      "expected the URL",
		"/users":                          "expected the URL",
		"":                                "expected the URL",
		"http://localhost.evil.example/":  "expected https",
		"https://":                        "expected the URL",
		"http://127.0.0.1@evil.example/x": "expected the URL",
	} {
		_, err := licenseapi.NewProvisioner(url, provisionSecret, time.Now)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	if _, err := licenseapi.NewProvisioner("https://a.example", "short", time.Now); err == nil || !strings.Contains(err.Error(), "shorter than 16") {
		t.Error(err)
	}
	if got := fmt.Sprintf("%v %+v %#v", provisioner(t, "https://a.example"), provisioner(t, "https://a.example"), provisioner(t, "https://a.example")); strings.Contains(got, "secret") {
		t.Errorf("it prints %s", got)
	}
}
