package licenseapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

const jsonType = "application/json"

// post sends an activation.
func (w *world) post(target, body string, headers ...string) answer {
	w.T.Helper()
	w.backend, w.activated = nil, nil
	return w.send(http.MethodPost, target, body, append([]string{"Content-Type", jsonType}, headers...)...)
}

// activation is a body with a credential: member, value; "-" leaves one out.
func activation(members ...string) string {
	var b strings.Builder
	b.WriteString(`{"hardware_id":"h-1"`)
	all := append([]string{"product", `"demo"`, "customer_account_code", `"acme"`}, members...)
	last := map[string]string{}
	for i := 0; i < len(all); i += 2 {
		last[all[i]] = all[i+1]
	}
	for _, name := range []string{"product", "customer_account_code", "code", "id_token", "redirect_uri", "license_key", "username"} {
		if v, there := last[name]; there && v != "-" {
			b.WriteString(`,"` + name + `":` + v)
		}
	}
	return b.String() + "}"
}

func quoted(s string) string { return `"` + s + `"` }

// wantBackend holds that the backend got the very bytes, and for whom.
func (w *world) wantBackend(got answer, body, user string) {
	w.T.Helper()
	if got.Status != http.StatusOK || got.Body != "the backend" || len(w.backend) != 1 {
		w.T.Fatalf("the backend was asked %d times: %d %s", len(w.backend), got.Status, got.Body)
	}
	r := w.backend[0].r
	if w.backend[0].body != body || (body != "" && r.ContentLength != int64(len(body))) {
		w.T.Errorf("the backend got %d bytes, of %d: %q", r.ContentLength, len(body), w.backend[0].body)
	}
	if user == "" && w.activated != nil {
		w.T.Errorf("there is an identity: %v", w.activated.User)
	}
	if user != "" && (w.activated == nil || w.activated.User.Name != user || w.activated.Product != "demo" || w.activated.Account != "acme" || w.activated.Session == nil) {
		w.T.Errorf("the identity is %+v, want %s", w.activated, user)
	}
}

func (w *world) wantRefused(got answer, status int, code, message string) {
	w.T.Helper()
	wantError(w.T, got, status, code, message)
	if len(w.backend) != 0 {
		w.T.Error("the backend was asked")
	}
}

const badCode = "Provided code is unknown, expired, used already, or for another product or customer account"

const badToken = "Provided token is not valid any more, or is for another product or customer account"

func TestACodeActivatesOnEveryRouteOnce(t *testing.T) {
	for _, route := range []string{"activate_license", "activate_bundle", "floating/borrow", "floating/feature_borrow", "user_licenses"} {
		for _, slash := range []string{"", "/"} {
			t.Run(route+slash, func(t *testing.T) {
				w := newWorld(t)
				body := activation("code", quoted(w.code()))
				target := "/api/v4/" + route + slash
				w.wantBackend(w.post(target, body), body, "ada")
				other := strings.Replace(body, "h-1", "h-2", 1)
				w.wantRefused(w.post(target, other), 400, "invalid_code", badCode)
			})
		}
	}
}

func TestATokenActivatesAsLongAsItCounts(t *testing.T) {
	w := newWorld(t)
	tokens := w.tokens()
	for name, token := range map[string]string{"an ID token": tokens.ID, "an access token": tokens.Access} {
		t.Run(name, func(t *testing.T) {
			body := activation("id_token", quoted(token))
			w.wantBackend(w.post(activate, body), body, "ada")
			w.wantBackend(w.post(activate, strings.Replace(body, "h-1", "h-2", 1)), strings.Replace(body, "h-1", "h-2", 1), "ada")
			for _, wrong := range []string{activation("id_token", quoted(token), "product", `"tool"`), activation("id_token", quoted(token), "customer_account_code", `"other"`)} {
				w.wantRefused(w.post(activate, wrong), 401, "invalid_id_token", badToken)
			}
		})
	}
	w.Clock.Advance(oauth.TokenLifetime)
	w.wantRefused(w.post(activate, activation("id_token", quoted(tokens.ID))), 401, "invalid_id_token", badToken)
}

// The query is where user_licenses has its parameters.
func TestACredentialMayBeInTheQueryInstead(t *testing.T) {
	w := newWorld(t)
	w.backend = nil
	target := "/api/v4/user_licenses?" + query("code", w.code())
	w.wantBackend(w.send(http.MethodGet, target, ""), "", "ada")
	w.backend, w.activated = nil, nil
	w.wantRefused(w.send(http.MethodGet, target+"&x=y", ""), 400, "invalid_code", badCode)
	for _, c := range []struct{ query, body, code, message string }{
		{"code=a&code=b&" + query(), "", "validation_error", "code is repeated"},
		{"Code=a&" + query(), "", "validation_error", "There is a parameter that is nearly one of [id_token code customer_account_code product redirect_uri license_key username]"},
		{"code[]=a&" + query(), "", "validation_error", "There is a parameter that is nearly one of [id_token code customer_account_code product redirect_uri license_key username]"},
		{"a=b;code=c", "", "validation_error", "The parameters are not URL-encoded"},
		{"code=%zz", "", "validation_error", "The parameters are not URL-encoded"},
		{"code=a", "", "missing_parameters", "Some parameters are missing: customer_account_code"},
		{"code=a", activation("code", `"b"`), "validation_error", "Of body and query, one should have the parameters"},
		{"code=a", `{"license_key":"k"}`, "validation_error", "Of body and query, one should have the parameters"},
	} {
		w.wantRefused(w.post(activate+"?"+c.query, c.body), 400, c.code, c.message)
	}
	w.backend = nil
	w.wantBackend(w.send(http.MethodGet, "/api/v4/user_licenses?product=demo&username=ada&password=%26&licence.keys[code]=x", ""), "", "")
}

func TestRequestsWithoutACredentialOfOursPassAsTheyAre(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{
		`{"hardware_id":"h","product":"demo","license_key":"AAAA-BBBB"}`,
		`{"hardware_id":"h","product":"demo","username":"ada","password":"code"}`,
		`{"license_key":"k","id_token":null,"code":"","customer_account_code":null}`,
		`{"license_key":1,"product":[1]}`,
		`{"license_key":"k","a":{` + members(9_998) + "}}",
		` { "license_key" : "ké\u00e9" , "variables": {"code":"x","deep":[[{"a":1.50}]]} } ` + "\n",
		`{}`,
		"",
	} {
		w.wantBackend(w.post(activate, body), body, "")
	}
	for _, target := range []string{"/", "/api/v4/check_license", "/api/v4/deactivate_license", "/api/v4/activate_license/x", "/api/v4/activate_offline", "/x/api/v4/activate_license", "/api/v4/activate_licenses", "/api/v4/"} {
		body := "\xef\xbb\xbf no JSON at all " + strings.Repeat("x", 2<<20)
		w.wantBackend(w.post(target, body, "Content-Encoding", "br"), body, "")
	}
	w.backend = nil
	w.wantBackend(w.send(http.MethodOptions, activate, ""), "", "")
}

func TestAWrongActivationIsRefused(t *testing.T) {
	w := newWorld(t)
	code := quoted(w.code())
	nearly := "There is a key that is nearly one of [id_token code customer_account_code product redirect_uri license_key username]"
	const broken = "The body should be one JSON object in UTF-8, without duplicate keys"
	const one = "There should be one of license_key, username, id_token and code"
	for _, c := range []struct {
		name, body    string
		status        int
		code, message string
	}{
		{"both credentials", activation("code", code, "id_token", `"x"`), 400, "validation_error", "There should be one of id_token and code"},
		{"a code and a license key", activation("code", code, "license_key", `"k"`), 400, "validation_error", one},
		{"a code and a license key that is a number", activation("code", code, "license_key", "0"), 400, "validation_error", one},
		{"a token and a user name", activation("id_token", `"x"`, "username", `"ada"`), 400, "validation_error", one},
		{"a code alone", activation("code", code, "customer_account_code", "-"), 400, "missing_parameters", "Some parameters are missing: customer_account_code"},
		{"a code and an account that is null", activation("code", code, "customer_account_code", "null"), 400, "missing_parameters", "Some parameters are missing: customer_account_code"},
		{"an account alone", activation(), 400, "missing_parameters", "Some parameters are missing: code"},
		{"an account and a license key", activation("license_key", `"k"`), 400, "validation_error", one},
		{"no product", activation("code", code, "product", "-"), 400, "missing_parameters", "Some parameters are missing: product"},
		{"a code that is a number", activation("code", "1"), 400, "validation_error", "code should be a string"},
		{"a code that is a list", activation("code", "["+code+"]"), 400, "validation_error", "code should be a string"},
		{"a code that is false", activation("code", "false"), 400, "validation_error", "code should be a string"},
		{"a token that is an object", activation("id_token", "{}"), 400, "validation_error", "id_token should be a string"},
		{"an account that is a number", activation("code", code, "customer_account_code", "1"), 400, "validation_error", "customer_account_code should be a string"},
		{"a product that is a list", activation("code", code, "product", `["demo"]`), 400, "validation_error", "product should be a string"},
		{"a redirect URI that is true", activation("code", code, "redirect_uri", "true"), 400, "validation_error", "redirect_uri should be a string"},

		{"an unknown product", activation("code", code, "product", `"nope"`), 400, "unknown_product", "Provided product was not found"},
		{"a product whose client is disabled", activation("code", code, "product", `"off"`), 400, "unknown_product", "Provided product was not found"},
		{"an unknown account", activation("code", code, "customer_account_code", `"nope"`), 400, "customer_account_not_found", "Provided customer account was not found, or has no SSO"},
		{"another product", activation("code", code, "product", `"tool"`), 400, "invalid_code", badCode},
		{"another account", activation("code", code, "customer_account_code", `"other"`), 400, "invalid_code", badCode},
		{"another redirect URI", activation("code", code, "redirect_uri", `"http://localhost:1"`), 400, "invalid_code", badCode},
		{"an unknown code", activation("code", quoted(strings.Repeat("A", 43))), 400, "invalid_code", badCode},
		{"a token that is none", activation("id_token", `"x"`), 401, "invalid_id_token", badToken},
		{"a code in place of a token", activation("id_token", code), 401, "invalid_id_token", badToken},

		{"half a body", strings.TrimSuffix(activation("code", code), "}"), 400, "invalid_json", broken},
		{"something behind it", activation("code", code) + "{}", 400, "invalid_json", broken},
		{"a NUL behind it", activation("code", code) + "\x00", 400, "invalid_json", broken},
		{"a list", "[" + activation("code", code) + "]", 400, "invalid_json", broken},
		{"a string", `"code"`, 400, "invalid_json", broken},
		{"a byte order mark", "\xef\xbb\xbf" + activation("code", code), 400, "invalid_json", broken},
		{"UTF-16", "{\x00}\x00", 400, "invalid_json", broken},
		{"invalid UTF-8", `{"license_key":"` + "\xff" + `"}`, 400, "invalid_json", broken},
		{"a comment", `{/**/"license_key":"k"}`, 400, "invalid_json", broken},
		{"single quotes", `{'license_key':'k'}`, 400, "invalid_json", broken},
		{"a key twice", `{"code":"a","code":` + code + `,"product":"demo","customer_account_code":"acme"}`, 400, "invalid_json", broken},
		{"a key twice, once escaped", `{"license_key":"k","licens\u0065_key":"k"}`, 400, "invalid_json", broken},
		{"a nested key twice", `{"license_key":"k","variables":[{"a":1,"\u0061":2}]}`, 400, "invalid_json", broken},
		{"nested too deep", `{"license_key":"k","a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + "}", 400, "invalid_json", broken},
		{"nested far too deep", `{"a":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + "}", 400, "invalid_json", broken},
		{"more values than anybody sends", `{"license_key":"k","a":[` + strings.Repeat("0,", 10_000) + "0]}", 400, "invalid_json", broken},
		{"more members than anybody sends", `{"license_key":"k","a":{` + members(10_000) + "}}", 400, "invalid_json", broken},
		{"a key in another case", `{"license_key":"k","Code":` + code + "}", 400, "validation_error", nearly},
		{"a key in another case, escaped", `{"license_key":"k","id_\u0054oken":"x"}`, 400, "validation_error", nearly},
		{"a key that folds to ours", `{"license_key":"k","id_to\u212aen":"x"}`, 400, "validation_error", nearly},
		{"a key with a NUL", `{"license_key":"k","code\u0000x":` + code + "}", 400, "validation_error", nearly},
		{"too large", `{"license_key":"` + strings.Repeat("k", 1<<20) + `"}`, 413, "request_too_large", "The body is larger than 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.T = t
			w.wantRefused(w.post(activate, c.body), c.status, c.code, c.message)
		})
	}
	// None of it has cost the owner anything.
	w.T = t
	body := activation("code", code, "redirect_uri", `"http://localhost"`)
	w.wantBackend(w.post(activate, body), body, "ada")
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return b.String()[1:]
}

func TestABodyOfAnotherKindIsRefused(t *testing.T) {
	w := newWorld(t)
	body := activation("code", quoted(w.code()))
	const notJSON, coded = "Content-Type should be application/json", "Content-Encoding should be identity"
	for _, c := range []struct {
		name    string
		headers []string
		message string
	}{
		{"no type", nil, notJSON},
		{"a form", []string{"Content-Type", "application/x-www-form-urlencoded"}, notJSON},
		{"text", []string{"Content-Type", "text/plain"}, notJSON},
		{"a type of its own", []string{"Content-Type", "application/vnd.api+json"}, notJSON},
		{"another charset", []string{"Content-Type", "application/json; charset=utf-16"}, notJSON},
		{"two types", []string{"Content-Type", jsonType, "Content-Type", "text/plain"}, notJSON},
		{"gzip", []string{"Content-Type", jsonType, "Content-Encoding", "gzip"}, coded},
		{"two codings", []string{"Content-Type", jsonType, "Content-Encoding", "identity, br"}, coded},
		{"two lines of codings", []string{"Content-Type", jsonType, "Content-Encoding", "identity", "Content-Encoding", "br"}, coded},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, sent := range []string{body, `{"license_key":"k"}`} {
				wantError(t, w.send(http.MethodPost, activate, sent, c.headers...), 400, "validation_error", c.message)
			}
			if len(w.backend) != 0 {
				t.Error("the backend was asked")
			}
		})
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodGet, http.MethodDelete} {
		w.backend = nil
		w.wantRefused(w.send(method, activate, "x", "Content-Type", jsonType), 400, "invalid_json", "The body should be one JSON object in UTF-8, without duplicate keys")
	}
	for _, charset := range []string{"UTF-8", "utf8"} {
		w.backend = nil
		w.wantBackend(w.send(http.MethodPut, activate, body, "Content-Type", "Application/JSON;charset="+charset, "Content-Encoding", "Identity"), body, "ada")
	}
}

func TestClass06OnlyPathsAsTheAPIHasThemActivate(t *testing.T) {
	w := newWorld(t)
	body := activation("code", quoted(w.code()))
	for _, path := range []string{
		"/api/v4/Activate_License", "/API/v4/activate_license", "//api/v4/activate_license", "/api/v4//activate_license",
		"/api/v4/./activate_license", "/api/v4/x/../activate_license", "/api/v4/%61ctivate_license", "/api%2fv4/activate_license",
		"/api/v4/activate_license;x", "/api;x=y/v4/activate_license", "/api/v4/activate_license/;", "/api/v4/activate_license//",
		"/api/v4/activate_license/.", "/api/v4/activate_license%20", "/api/v4/activate_license%00", "/api/v4/activate_license%3fx",
		"/api/v4/activate_license%23", "/api/v4/activate%255flicense", "/api/v4/%2561ctivate_license", "/api/v4/activate_license.",
		`/api/v4\activate_license`, "/api/v4/%5cactivate_license", "/api/v4/x/..;/activate_license", "/x/%2e%2e/api/v4/activate_license",
		"/api/v4/floating%2Fborrow", "/api/v4/floating/x/../feature_borrow/", "/api/v4/user_licenses;jsessionid=1",
	} {
		for _, sent := range []string{body, `{"license_key":"k"}`} {
			w.wantRefused(w.post(path, sent), 400, "validation_error", "The path is not written as the API has it")
		}
	}
	w.activation.AllowRawPath = true
	w.wantBackend(w.post("/api/v4/Activate_License", body), body, "")
}

// What the network lost may be sent again, once, within a minute, as it was.
func TestARetriedActivationSucceedsOnceMore(t *testing.T) {
	w := newWorld(t)
	body := activation("code", quoted(w.code()))
	w.wantBackend(w.post(activate, body), body, "ada")
	w.wantRefused(w.post(activate, body+" "), 400, "invalid_code", badCode)
	w.wantRefused(w.post(activate+"?x=y", body), 400, "invalid_code", badCode)
	w.wantRefused(w.post("/api/v4/activate_bundle", body), 400, "invalid_code", badCode)
	w.Clock.Advance(time.Minute)
	w.wantBackend(w.post(activate+"/", body), body, "ada")
	w.wantRefused(w.post(activate, body), 400, "invalid_code", badCode)

	body = activation("code", quoted(w.code()))
	w.wantBackend(w.post(activate, body), body, "ada")
	w.Clock.Advance(time.Minute + time.Second)
	w.wantRefused(w.post(activate, body), 400, "invalid_code", badCode)
}

func TestAStoreThatIsDownCostsNoCode(t *testing.T) {
	w := newWorld(t)
	token := w.tokens().ID
	w.Store.Down(true)
	got := w.post(activate, activation("id_token", quoted(token)))
	w.wantRefused(got, 503, "service_unavailable", "Something went wrong; try again")
	if got.Header.Get("Retry-After") != "1" || w.log.Len() != 1 {
		t.Errorf("Retry-After is %q; %d lines in the log", got.Header.Get("Retry-After"), w.log.Len())
	}
	w.Store.Down(false)
	w.wantBackend(w.post(activate, activation("id_token", quoted(token))), activation("id_token", quoted(token)), "ada")
}

func TestASessionThatEndedEndsItsActivations(t *testing.T) {
	w := newWorld(t)
	code, tokens := w.code(), w.tokens()
	if _, err := w.Server.Sessions.EndMatching(t.Context(), func(*session.Session) bool { return true }); err != nil {
		t.Fatal(err)
	}
	w.wantRefused(w.post(activate, activation("code", quoted(code))), 400, "invalid_code", badCode)
	w.wantRefused(w.post(activate, activation("id_token", quoted(tokens.ID))), 401, "invalid_id_token", badToken)
	w.wantRefused(w.post(activate, activation("id_token", quoted(tokens.Access))), 401, "invalid_id_token", badToken)
	recorder := httptest.NewRecorder()
	w.activation.Ended(recorder)
	wantError(t, answer{Status: recorder.Code, Header: recorder.Header(), Body: recorder.Body.String()}, 401, "invalid_id_token", badToken)
}
