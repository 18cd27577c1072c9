package license

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// get is a request of a program to the portal.
func (w *world) get(t *testing.T, target string, headers ...string) *harness.Response {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := harness.NewClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestAClientsOwnTokenStandsInForAnAPIKey asks where to get one, gets it, and
// uses it.
func TestAClientsOwnTokenStandsInForAnAPIKey(t *testing.T) {
	onOneNodeAndTwo(t, aClientsOwnTokenStandsInForAnAPIKey)
}

func aClientsOwnTokenStandsInForAnAPIKey(t *testing.T, start starter) {
	t.Helper()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) { l.Lines = "bearer_client 2" })
	var where struct {
		URL string `json:"url"`
	}
	w.get(t, w.Portal+"/api/v4/oauth_url?login_type=client_credentials").JSON(t, &where)
	token := func(id string) string {
		var got struct {
			AccessToken string `json:"access_token"`
		}
		harness.NewClient(t).Post(where.URL, url.Values{
			"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {harness.Secret},
		}).JSON(t, &got)
		return got.AccessToken
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	target := w.Portal + "/api/v4/sso_url?product=demo&customer_account_code=other"
	resp := w.get(t, target, "Date", date, "Authorization", "Bearer "+token("2"))
	if resp.Status != http.StatusOK {
		t.Fatalf("answered %d: %s", resp.Status, resp.Body)
	}
	var link struct {
		URL string `json:"url"`
	}
	resp.JSON(t, &link)
	if _, err := harness.NewClient(t).Open(link.URL).Form("password"); err != nil {
		t.Error(err)
	}
	a := w.app(t, harness.NewClient(t))
	users := a.signIn(t, "token", harness.Demo).Get("access_token")
	for name, tt := range map[string]struct{ header, want string }{
		"a token of a user":   {"Bearer " + users, "authorization_invalid_headers"},
		"a token of nobody's": {"Bearer x.y.z", "oauth_token_malformed"},
	} {
		refused := w.get(t, target, "Date", date, "Authorization", tt.header)
		if refused.Status == http.StatusOK || !strings.Contains(refused.Body, `"`+tt.want+`"`) {
			t.Errorf("%s: answered %d: %s", name, refused.Status, refused.Body)
		}
	}
}

// TestWhatOpenIDConfigurationNamesIsTrue holds it against discovery.
func TestWhatOpenIDConfigurationNamesIsTrue(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) { l.Lines = "openid_configuration" })
	a := w.app(t, nil)
	r, err := http.NewRequest(http.MethodGet, w.Portal+"/api/v4/sso_url?product=demo&customer_account_code=other", nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Sign(r.Header)
	resp, err := harness.NewClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Configuration map[string]string `json:"openid_configuration"`
	}
	resp.JSON(t, &answer)
	var discovered map[string]json.RawMessage
	w.get(t, w.Portal+"/.well-known/openid-configuration").JSON(t, &discovered)
	for _, name := range []string{"issuer", "end_session_endpoint", "token_endpoint", "introspection_endpoint"} {
		if said := `"` + answer.Configuration[name] + `"`; said != string(discovered[name]) {
			t.Errorf("%s is %s, discovery says %s", name, said, discovered[name])
		}
	}
	if len(answer.Configuration) != 4 {
		t.Errorf("it is %v", answer.Configuration)
	}
	// The client in Node verifies what has an object in it, too.
	if _, err := harness.StartNodeApp(t, w.license.NodeOptions(w.Portal)); err != nil {
		t.Error(err)
	}
}

// TestTheSignatureKeyIsMadeOnceAndStays is about the file that the setting
// names.
func TestTheSignatureKeyIsMadeOnceAndStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "below", "signature.pem")
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) { l.Lines = "signature_key " + path })
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", stat.Mode())
	}
	a := w.app(t, nil) // which trusts the key of now
	w.server.Restart()
	a.link(t, "code")

	// Another key is another trust.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.server.Restart()
	if _, err := a.SSOURL(t.Context(), "", a.RedirectURI); err == nil || !strings.Contains(err.Error(), "LicenseSignature") {
		t.Errorf("an answer that another key signed: %v", err)
	}
}
