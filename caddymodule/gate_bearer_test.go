package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

// backendClient is a client with tokens of its own.
const backendClient = `
	client 2 {
		name Backend
		secret s3cr3ts3cr3ts3cr3t
		redirect_uri https://backend.example/callback
		audience 1 2
		token_alg ES256
	}`

// access is an access token of the visitor.
func (v *visitor) access() string {
	v.t.Helper()
	return accessOf(v.t, v.redeem(v.code()))
}

// ownToken is client 2's own token.
func (v *visitor) ownToken() string { return v.tokenOf("2") }

// tokenOf is the own token of a client that is like client 2.
func (v *visitor) tokenOf(client string) string {
	v.t.Helper()
	return accessOf(v.t, v.send(v.request(http.MethodPost, "http://"+v.portal+"/api/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {"s3cr3ts3cr3ts3cr3t"}, "audience": {"1"},
	}.Encode())))
}

func accessOf(t *testing.T, got answered) string {
	t.Helper()
	token, ok := object(t, []byte(got.body))["access_token"].(string)
	if !ok || token == "" {
		t.Fatalf("no token, but %s: %s", got.Status, got.body)
	}
	return token
}

// call asks for a page of the site as a program with a token does.
func (w *world) call(token string, headers ...string) answered {
	w.t.Helper()
	v := w.visitor()
	r := v.request(http.MethodGet, "http://"+w.site+"/", "")
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return v.send(r)
}

const whoIsIt = `respond "user {http.request.header.X-SSO-User}, {http.auth.user.id} of {http.auth.user.groups}, client {http.request.header.X-SSO-Client}, {http.request.header.Authorization}"`

func TestATokenIsThroughTheGate(t *testing.T) {
	w := newWorld(t)
	s := setup{global: backendClient, gate: "require group players\nallow_client 2", handler: whoIsIt}
	w.mustLoad(s)
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	token, own := v.access(), v.ownToken()
	wantBoth := func() {
		t.Helper()
		if got := w.call(token); got.body != "user demo, demo of players, client , Bearer "+token {
			t.Errorf("%s: %s", got.Status, got.body)
		}
		if got := w.call(own, "X-SSO-User", "admin"); got.body != "user ,  of , client 2, Bearer "+own {
			t.Errorf("%s: %s", got.Status, got.body)
		}
	}
	wantBoth()
	before := w.running().opened.Load()
	s.options = "grace_period 10ms"
	w.mustLoad(s)
	wantBoth()
	if after := w.running().opened.Load(); after.State.Verified != before.State.Verified || after.Server.Verified == before.Server.Verified {
		t.Error("what is known of grants did not outlive the reload, or what was verified did")
	}

	s.gate = "bearer off"
	w.mustLoad(s)
	if got := w.call(token); got.StatusCode != http.StatusUnauthorized || got.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s, %v", got.Status, got.Header)
	}
	s.gate = "require group staff"
	w.mustLoad(s)
	for _, token := range []string{token, own} {
		if got := w.call(token); got.StatusCode != http.StatusForbidden || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), `Bearer error="insufficient_scope"`) {
			t.Errorf("%s, %v", got.Status, got.Header)
		}
	}
	s.gate = ""
	w.mustLoad(s)
	if got := w.call(token + "x"); got.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`) {
		t.Errorf("%s, %v", got.Status, got.Header)
	}

	// A client that is removed has no tokens, and one with another key is
	// another client.
	s.global = strings.Replace(backendClient, "client 2", "client 3", 1)
	w.mustLoad(s)
	if got := w.call(own); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a client that is gone: %s", got.Status)
	}
}

func TestClass16ATokenThatEndsBeforeTheAnswerGets401(t *testing.T) {
	arrived := make(chan struct{}, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			arrived <- struct{}{}
			<-r.Context().Done()
		}
	}))
	defer backend.Close()
	w := newWorld(t)
	w.mustLoad(setup{handler: "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://")})
	server := w.running().opened.Load().Server
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	token := v.access()
	payload, err := server.Keys.Verify(t.Context(), token, keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Grant string `json:"gid"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	done := make(chan answered)
	go func() { done <- w.call(token) }()
	<-arrived
	if err := server.Grants.End(t.Context(), claims.Grant); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`) {
		t.Errorf("%s, %v: %s", got.Status, got.Header, got.body)
	}
	if got := w.call(token); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("after its grant's end: %s", got.Status)
	}
}

func TestAPreflightIsLetThroughWhereThatIsSet(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		gate   string
		status int
	}{{"", http.StatusUnauthorized}, {"allow_preflight", http.StatusNoContent}} {
		w.mustLoad(setup{gate: tt.gate, handler: "respond 204"})
		v := w.visitor()
		r := v.request(http.MethodOptions, "http://"+w.site+"/api", "")
		r.Header.Set("Origin", "https://www.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		if got := v.send(r); got.StatusCode != tt.status {
			t.Errorf("%q: %s, Location %q", tt.gate, got.Status, got.Header.Get("Location"))
		}
	}
}

func TestAWrongBearerIsRefusedOnItsLine(t *testing.T) {
	for _, c := range []struct {
		name, spoiled, line string
		want                []string
	}{
		{"bearer with another word", "bearer no", "bearer no", []string{`bearer "no" is unknown; expected on or off`}},
		{"bearer without a word", "bearer", "bearer", []string{"bearer: expected a value"}},
		{"bearer twice", "bearer on\nbearer off", "bearer off", []string{"duplicate option: bearer"}},
		{"allow_client without an ID", "allow_client", "allow_client", []string{"allow_client: expected at least one value"}},
		{"allow_client that is not there", "allow_client 7", "allow_client 7", []string{`allow_client: client "7" is unknown`, "add it to the sso option"}},
		{"allow_client that is public", "allow_client 1", "allow_client 1", []string{"allow_client 1: the client is public", "give it a secret"}},
		{"allow_client of another audience", "allow_client 2", "allow_client 2", []string{"allow_client 2: its tokens are for none of the audiences of client 1 (1)"}},
		{"allow_client where no token is taken", "bearer off\nallow_client 3", "allow_client 3", []string{"allow_client has no effect with bearer off"}},
		{"allow_preflight with an argument", "allow_preflight all", "allow_preflight all", []string{`allow_preflight: unexpected "all"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := strings.Replace(spoil(t, "header_prefix X-SSO-", c.spoiled), "\t\tbrand {", `
		client 2 {
			secret s3cr3ts3cr3ts3cr3t
			redirect_uri https://a.example/cb
		}
		client 3 {
			secret s3cr3ts3cr3ts3cr3t
			redirect_uri https://b.example/cb
			audience 3 1
		}
		brand {`, 1)
			_, err := adapt(file)
			if err == nil {
				t.Fatal("the adapter took it")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
			if !onLineThatBegins(file, c.line, err) {
				t.Errorf("the error is not on the line %q:\n%v", c.line, err)
			}
		})
	}
}

func TestAWrongBearerInJSONIsRefused(t *testing.T) {
	right, err := adapt(spoil(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		field string
		value any
		want  string
	}{
		{"bearer", "maybe", `bearer "maybe" is unknown`},
		{"bearer", false, "bearer"},
		{"allow_clients", []any{"9"}, `allow_client: client "9" is unknown`},
		{"allow_clients", []any{"1"}, "the client is public"},
		{"license_activation", true, "client has no effect beside it"},
	} {
		config := object(t, right)
		place(t, config, inGate)[c.field] = c.value
		raw, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v: %v", c.field, c.value, err)
		}
	}
}

func TestAGateForLicensesTakesNoBearer(t *testing.T) {
	for _, option := range []string{"bearer on", "bearer off", "allow_client 1", "allow_preflight"} {
		_, err := adapt(spoil(t, "\t\tclient 1\n\t\theader_prefix X-SSO-", "license_activation\n"+option))
		name, _, _ := strings.Cut(option, " ")
		if err == nil || !strings.Contains(err.Error(), name+" has no effect beside it") {
			t.Errorf("%s: %v", option, err)
		}
	}
}
