package license

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// withMore has a second product, and a second customer account of both.
func withMore(_ *harness.Caddyfile, l *harness.License) {
	l.Accounts = append(l.Accounts, "third")
	l.Lines += `
customer_account third {
	signin local
}
product second {
	client 10
	redirect_uri http://localhost
	response_type code token
	customer_account other third
}`
}

func compressed(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// TestNoRefusedActivationReachesTheBackend goes through all that may be
// wrong with one. None of it costs the owner the code.
func TestNoRefusedActivationReachesTheBackend(t *testing.T) {
	t.Parallel()
	w := start(t, withMore)
	a := w.app(t, harness.NewClient(t))
	code := a.code(t, harness.Demo)
	tokens := a.again(t, "token")
	body := func(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }
	const half = `"hardware_id":"h","product":"demo","customer_account_code":"other"`
	for name, tt := range map[string]struct {
		route  string // "": the first
		body   []byte
		vary   func(*http.Request)
		status int
		code   string
	}{
		"both credentials":                       {body: body(`{%s,"code":%q,"id_token":%q}`, half, code, tokens.Get("id_token")), status: 400, code: "validation_error"},
		"a code and a license key":               {body: body(`{%s,"code":%q,"license_key":"AAAA"}`, half, code), status: 400, code: "validation_error"},
		"a code and a user name":                 {body: body(`{%s,"code":%q,"username":"u","password":"p"}`, half, code), status: 400, code: "validation_error"},
		"an account and a license key":           {body: body(`{%s,"license_key":"AAAA"}`, half), status: 400, code: "validation_error"},
		"a code and no account":                  {body: body(`{"product":"demo","code":%q}`, code), status: 400, code: "missing_parameters"},
		"a token and no account":                 {body: body(`{"product":"demo","id_token":%q}`, tokens.Get("id_token")), status: 400, code: "missing_parameters"},
		"an account and no credential":           {body: body(`{%s}`, half), status: 400, code: "missing_parameters"},
		"a code and no product":                  {body: body(`{"customer_account_code":"other","code":%q}`, code), status: 400, code: "missing_parameters"},
		"a code that is a number":                {body: body(`{%s,"code":7}`, half), status: 400, code: "validation_error"},
		"a code that is a list":                  {body: body(`{%s,"code":[%q]}`, half, code), status: 400, code: "validation_error"},
		"a code for another product":             {body: body(`{"product":"second","customer_account_code":"other","code":%q}`, code), status: 400, code: "invalid_code"},
		"a code for another account":             {body: body(`{"product":"demo","customer_account_code":"third","code":%q}`, code), status: 400, code: "invalid_code"},
		"a code for an unknown product":          {body: body(`{"product":"none","customer_account_code":"other","code":%q}`, code), status: 400, code: "unknown_product"},
		"a code for an unknown account":          {body: body(`{"product":"demo","customer_account_code":"none","code":%q}`, code), status: 400, code: "customer_account_not_found"},
		"a code for another redirect URI":        {body: body(`{%s,"code":%q,"redirect_uri":"http://localhost:1"}`, half, code), status: 400, code: "invalid_code"},
		"a token for another product":            {body: body(`{"product":"second","customer_account_code":"other","id_token":%q}`, tokens.Get("id_token")), status: 401, code: "invalid_id_token"},
		"a token for another account":            {body: body(`{"product":"demo","customer_account_code":"third","id_token":%q}`, tokens.Get("access_token")), status: 401, code: "invalid_id_token"},
		"a token that was changed":               {body: body(`{%s,"id_token":%q}`, half, tokens.Get("id_token")+"x"), status: 401, code: "invalid_id_token"},
		"a code in place of a token":             {body: body(`{%s,"id_token":%q}`, half, code), status: 401, code: "invalid_id_token"},
		"a token in place of a code":             {body: body(`{%s,"code":%q}`, half, tokens.Get("id_token")), status: 400, code: "invalid_code"},
		"broken JSON":                            {body: body(`{%s,"code":%q`, half, code), status: 400, code: "invalid_json"},
		"JSON that is a list":                    {body: body(`[{%s,"code":%q}]`, half, code), status: 400, code: "invalid_json"},
		"something behind the JSON":              {body: body(`{%s,"code":%q}{}`, half, code), status: 400, code: "invalid_json"},
		"bytes that are not UTF-8":               {body: body("{%s,\"code\":%q,\"app_name\":\"\xff\"}", half, code), status: 400, code: "invalid_json"},
		"a byte order mark":                      {body: body("\uFEFF{%s,\"code\":%q}", half, code), status: 400, code: "invalid_json"},
		"the code twice":                         {body: body(`{%s,"code":"x","code":%q}`, half, code), status: 400, code: "invalid_json"},
		"the code twice, once escaped":           {body: body(`{%s,"\u0063ode":"x","code":%q}`, half, code), status: 400, code: "invalid_json"},
		"a duplicate deep within":                {body: body(`{%s,"code":%q,"variables":{"a":[{"b":1,"b":2}]}}`, half, code), status: 400, code: "invalid_json"},
		"the code in capitals beside a key":      {body: body(`{%s,"license_key":"AAAA","CODE":%q}`, half, code), status: 400, code: "validation_error"},
		"a code with a NUL behind its name":      {body: body(`{%s,"code\u0000":%q}`, half, code), status: 400, code: "validation_error"},
		"a compressed body":                      {body: compressed(body(`{%s,"code":%q}`, half, code)), vary: header("Content-Encoding", "gzip"), status: 400, code: "validation_error"},
		"a compressed body that does not say so": {body: compressed(body(`{%s,"code":%q}`, half, code)), status: 400, code: "invalid_json"},
		"a form":                                 {body: body("product=demo&customer_account_code=other&code=%s", code), vary: header("Content-Type", "application/x-www-form-urlencoded"), status: 400, code: "validation_error"},
		"JSON that is called text":               {body: body(`{%s,"code":%q}`, half, code), vary: header("Content-Type", "text/plain"), status: 400, code: "validation_error"},
		"JSON that is called nothing":            {body: body(`{%s,"code":%q}`, half, code), vary: func(r *http.Request) { r.Header.Del("Content-Type") }, status: 400, code: "validation_error"},
		"JSON in UTF-16, by its name":            {body: body(`{%s,"code":%q}`, half, code), vary: header("Content-Type", "application/json; charset=utf-16"), status: 400, code: "validation_error"},
		"a license key in a form":                {body: body("license_key=AAAA"), vary: header("Content-Type", "application/x-www-form-urlencoded"), status: 400, code: "validation_error"},
		"a code in body and in query":            {route: routes[4] + "?code=x", body: body(`{%s,"code":%q}`, half, code), status: 400, code: "validation_error"},
		"a path with two slashes":                {route: "/api/v4//activate_license", body: body(`{%s,"code":%q}`, half, code), status: 400, code: "validation_error"},
		"a path with an escaped letter":          {route: "/api/v4/%61ctivate_license", body: body(`{%s,"code":%q}`, half, code), status: 400, code: "validation_error"},
		"a path in capitals":                     {route: "/API/v4/Activate_License", body: body(`{%s,"code":%q}`, half, code), status: 400, code: "validation_error"},
		"a path with dot segments":               {route: "/api/v4/x/%2e%2e/activate_license", body: body(`{%s,"code":%q}`, half, code), status: 400, code: "validation_error"},
		"a path with a parameter":                {route: "/api/v4/activate_license;v=1", body: body(`{%s,"code":%q}`, half, code), status: 400, code: "validation_error"},
	} {
		t.Run(name, func(t *testing.T) {
			route, before := tt.route, len(w.backend.Requests())
			if route == "" {
				route = routes[0]
			}
			vary := []func(*http.Request){}
			if tt.vary != nil {
				vary = append(vary, tt.vary)
			}
			w.sealed(t, w.post(t, route, tt.body, vary...), before, tt.status, tt.code)
		})
	}
	if t.Failed() {
		return
	}
	w.wantActivated(t, a, a.Activation(code, ""), harness.Demo)
	w.wantActivated(t, a, a.Activation("", tokens.Get("access_token")), harness.Demo)
}
