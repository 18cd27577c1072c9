package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Nor does any other endpoint take it then than the one for activation.
func TestATokenForActivationIsOverWhenItsCustomerHasTheProductNoMore(t *testing.T) {
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	w := newWorld(t)
	global := strings.NewReplacer("PROVISION", "", "redirect_uri https://back.example/", "redirect_uri https://back.example/\naudience 3 2").Replace(licensed)
	w.mustLoad(setup{global: global})
	app := w.visitor()
	at := w.visitor().arrive(app.signed("http://" + w.portal + "/api/v4/sso_url?product=demo&customer_account_code=acme&response_type=token&redirect_uri=https://app.example/sso").link(t))
	fragment, err := url.ParseQuery(at.Fragment)
	if err != nil {
		t.Fatal(err)
	}
	introspected := func() string {
		r := app.request(http.MethodPost, "http://"+w.portal+"/oauth2/introspect", url.Values{"token": {fragment.Get("access_token")}}.Encode())
		r.SetBasicAuth("3", "hunter2hunter2hunter2")
		return app.send(r).body
	}
	if said := introspected(); !strings.Contains(said, `"active":true`) {
		t.Fatal(said)
	}
	w.mustLoad(setup{global: strings.Replace(global, "customer_account acme others", "customer_account others", 1)})
	if said := introspected(); !strings.Contains(said, `"active":false`) {
		t.Errorf("it still counts: %s", said)
	}
}
