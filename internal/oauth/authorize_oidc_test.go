package oauth_test

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

type openIDChange = func(*oauth.OpenIDRequest)

// openID returns an OpenID Connect request of client 1 after change.
func openID(change openIDChange) oauth.OpenIDRequest {
	r := oauth.OpenIDRequest{
		ResponseType: "code", ClientID: "1", RedirectURI: callback, State: "s", Scope: []string{"openid", "email"}, Nonce: "n",
		CodeChallenge: oauth.Challenge(verifier), CodeChallengeMethod: oauth.S256,
	}
	if change != nil {
		change(&r)
	}
	return r
}

func TestAnOpenIDRequestIsCheckedAgainstTheRegistration(t *testing.T) {
	w := newWorld(t)
	withoutPKCE := func(id string) openIDChange {
		return func(r *oauth.OpenIDRequest) { r.ClientID, r.CodeChallenge, r.CodeChallengeMethod = id, "", "" }
	}
	for _, tt := range []struct {
		name     string
		change   openIDChange
		kind     oauth.Kind
		redirect bool // the error may be sent to the redirect URI
	}{
		{"no client", func(r *oauth.OpenIDRequest) { r.ClientID = "" }, oauth.InvalidRequest, false},
		{"unknown client", func(r *oauth.OpenIDRequest) { r.ClientID = "99" }, oauth.UnknownClient, false},
		{"disabled client", func(r *oauth.OpenIDRequest) { r.ClientID = "3" }, oauth.ClientDisabled, false},
		{"no redirect URI", func(r *oauth.OpenIDRequest) { r.RedirectURI = "" }, oauth.InvalidRequest, false},
		{"Class10 unregistered redirect URI", func(r *oauth.OpenIDRequest) { r.RedirectURI = "https://evil.example/cb" }, oauth.InvalidRequest, false},
		{"Class10 unregistered redirect URI and another fault", func(r *oauth.OpenIDRequest) { r.RedirectURI, r.ResponseType = "https://evil.example", "x" }, oauth.InvalidRequest, false},
		{"a handle that is none", func(r *oauth.OpenIDRequest) { r.Handle = "x" }, oauth.InvalidRequest, false},
		{"no response type", func(r *oauth.OpenIDRequest) { r.ResponseType = "" }, oauth.InvalidRequest, true},
		{"response type of no kind", func(r *oauth.OpenIDRequest) { r.ResponseType = "code token" }, oauth.UnsupportedResponseType, true},
		{"tokens without a link", func(r *oauth.OpenIDRequest) { r.ResponseType = "id_token token" }, oauth.UnauthorizedClient, true},
		{"response mode of tokens", func(r *oauth.OpenIDRequest) { r.ResponseMode = "fragment" }, oauth.InvalidRequest, true},
		{"response mode of no kind", func(r *oauth.OpenIDRequest) { r.ResponseMode = "web_message" }, oauth.InvalidRequest, true},
		{"request object", func(r *oauth.OpenIDRequest) { r.RequestObject = true }, oauth.RequestObject, true},
		{"request object elsewhere", func(r *oauth.OpenIDRequest) { r.RequestURI = true }, oauth.RequestObjectURI, true},
		{"Class13 no challenge of a public client", withoutPKCE("1"), oauth.InvalidRequest, true},
		{"Class13 plain", func(r *oauth.OpenIDRequest) { r.CodeChallengeMethod = "plain" }, oauth.InvalidRequest, true},
		{"Class13 no method", func(r *oauth.OpenIDRequest) { r.CodeChallengeMethod = "" }, oauth.InvalidRequest, true},
		{"Class26 audience of another client", func(r *oauth.OpenIDRequest) { r.Audience = []string{"server"} }, oauth.InvalidRequest, true},
		{"prompt of no kind", func(r *oauth.OpenIDRequest) { r.Prompt = []string{"create"} }, oauth.InvalidRequest, true},
		{"prompt none and another", func(r *oauth.OpenIDRequest) { r.Prompt = []string{"login", "none"} }, oauth.InvalidRequest, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, refusal := w.CheckOpenID(t.Context(), openID(tt.change))
			wantKind(t, refusal, tt.kind)
			if (a != nil) != tt.redirect {
				t.Fatalf("may be redirected: %v", a != nil)
			}
			if a != nil && (a.RedirectURI != callback || a.State != "s") {
				t.Errorf("redirects to %q with state %q", a.RedirectURI, a.State)
			}
		})
	}
	for name, change := range map[string]openIDChange{
		"with PKCE": nil, "a client with a secret, without": withoutPKCE("2"), "a client that may leave it out": withoutPKCE("4"),
		"the response mode of a code": func(r *oauth.OpenIDRequest) { r.ResponseMode = "query" },
		"a loopback port":             func(r *oauth.OpenIDRequest) { r.RedirectURI = "http://127.0.0.1:5000/cb" },
		"no state, nonce and scope":   func(r *oauth.OpenIDRequest) { r.State, r.Nonce, r.Scope = "", "", nil },
	} {
		if _, refusal := w.CheckOpenID(t.Context(), openID(change)); refusal != nil {
			t.Errorf("%s: %v", name, refusal)
		}
	}
}

func TestTheScopesAndAudienceThatAnOpenIDRequestIsGranted(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name             string
		change           openIDChange
		scopes, audience []string
	}{
		{"openid though it is not registered, and the first audience", nil, []string{"openid", "email"}, []string{"game"}},
		{"openid comes first", func(r *oauth.OpenIDRequest) { r.Scope = []string{"email", "openid", "email", "groups"} }, []string{"openid", "email"}, []string{"game"}},
		{"no openid if it is not requested", func(r *oauth.OpenIDRequest) { r.Scope = []string{"email"} }, []string{"email"}, []string{"game"}},
		{"audiences that are registered", func(r *oauth.OpenIDRequest) { r.Audience = []string{"100%25", "game"} }, []string{"openid", "email"}, []string{"100%", "game"}},
		{"any scope where all are registered", func(r *oauth.OpenIDRequest) { r.ClientID, r.Scope = "4", []string{"x", "openid"} }, []string{"x", "openid"}, []string{"old"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, refusal := w.CheckOpenID(t.Context(), openID(tt.change))
			if refusal != nil {
				t.Fatal(refusal)
			}
			if !slices.Equal(a.Scopes, tt.scopes) || !slices.Equal(a.Audience, tt.audience) || !a.OpenID || a.Token || a.License != nil {
				t.Errorf("granted %q for %q: %+v", a.Scopes, a.Audience, a)
			}
		})
	}
}

func TestTheRequirementsOfARequestForTheSession(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	w.clock.Advance(time.Hour)
	age := func(d time.Duration) openIDChange { return func(r *oauth.OpenIDRequest) { r.MaxAge = &d } }
	prompt := func(values ...string) openIDChange { return func(r *oauth.OpenIDRequest) { r.Prompt = values } }
	after := func(at time.Time) openIDChange { return func(r *oauth.OpenIDRequest) { r.AuthAfter = at } }
	for _, tt := range []struct {
		name            string
		change          openIDChange
		accepts         bool
		silent, confirm bool
	}{
		{"nothing", nil, true, false, false},
		{"none", prompt("none"), true, true, false},
		{"login", prompt("login"), false, false, false},
		{"consent", prompt("consent"), true, false, false},
		{"select_account", prompt("select_account"), true, false, true},
		{"login and consent", prompt("login", "consent"), false, false, false},
		{"an age that it has", age(time.Hour), true, false, false},
		{"an age that it has not", age(time.Hour - time.Second), false, false, false},
		{"no age at all", age(0), false, false, false},
		{"an age beyond all time", age(100 * 365 * 24 * time.Hour), true, false, false},
		{"that it began since then", after(start), true, false, false},
		{"that it began later", after(start.Add(time.Minute + time.Millisecond)), false, false, false},
		{"that it began later, by the clock of another node", after(start.Add(time.Minute)), true, false, false},
		{"that it is another", func(r *oauth.OpenIDRequest) { r.AuthAfter, r.AuthNot = start.Add(time.Millisecond), in.Session.ID() }, false, false, false},
		{"that it began later, and once more", func(r *oauth.OpenIDRequest) { r.AuthAfter, r.Prompt = start, []string{"login"} }, false, false, false},
		{"that it began later, and an age", func(r *oauth.OpenIDRequest) {
			age := time.Hour - time.Millisecond
			r.AuthAfter, r.MaxAge = start, &age
		}, false, false, false},
		{"that it begins in the future", after(start.Add(1000 * time.Hour)), false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := openID(tt.change)
			a, refusal := w.CheckOpenID(t.Context(), asked)
			if refusal != nil {
				t.Fatal(refusal)
			}
			if a.Accepts(in) != tt.accepts || a.Silent != tt.silent || a.Confirm != tt.confirm {
				t.Errorf("accepts %v, silent %v, confirm %v", a.Accepts(in), a.Silent, a.Confirm)
			}
			if a.PromptConsent != slices.Contains(asked.Prompt, "consent") {
				t.Errorf("prompt=consent %v", a.PromptConsent)
			}
			_, fresh := w.signIn(ada)
			if again := slices.Contains(asked.Prompt, "login"); a.Accepts(fresh) == again {
				t.Error("no session would ever be accepted")
			}
		})
	}
}

func TestClass17And20WhichSessionsAreAccepted(t *testing.T) {
	for _, tt := range []struct {
		name    string
		user    session.User
		accepts bool
	}{
		{"its way and domain", session.User{Signin: "acme", Email: "x@acme.example"}, true},
		{"domain in another case", session.User{Signin: "acme", Email: "x@ACME.Example"}, true},
		{"another way", session.User{Signin: "local", Email: "x@acme.example"}, false},
		{"another domain", session.User{Signin: "acme", Email: "x@other.example"}, false},
		{"a domain below", session.User{Signin: "acme", Email: "x@evil.acme.example"}, false},
		{"a domain that ends the same", session.User{Signin: "acme", Email: "x@evilacme.example"}, false},
		{"two @, the last", session.User{Signin: "acme", Email: "x@other.example@acme.example"}, false},
		{"two @, the first", session.User{Signin: "acme", Email: "x@acme.example@other.example"}, false},
		{"no name", session.User{Signin: "acme", Email: "@acme.example"}, false},
		{"no e-mail", session.User{Signin: "acme"}, false},
		{"another domain with a lower case that is ours", session.User{Signin: "acme", Email: "x@\u212akit.example"}, false},
	} {
		a := &oauth.Authorization{Methods: []string{"acme"}, EmailDomains: []string{"acme.example", "kkit.example"}}
		if got := a.AcceptsUser(tt.user); got != tt.accepts {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestTheRedirectURIsOfASignOut(t *testing.T) {
	w := newWorld(t)
	c := w.client("1")
	uri, err := oauth.ParsePostLogoutRedirectURI("https://game.example/bye?x=1")
	if err != nil {
		t.Fatal(err)
	}
	c.PostLogoutRedirectURIs = []oauth.RedirectURI{uri}
	for _, tt := range []struct{ uri, state, want string }{
		{"https://game.example/bye?x=1", "a b&", "https://game.example/bye?x=1&state=a%20b%26"},
		{"https://game.example/bye?x=1", "", "https://game.example/bye?x=1"},
		{"https://fail.example/any", "s", "https://fail.example/any?state=s"},
		{"https://game.example/bye", "s", ""},
		{callback, "s", ""},
		{"https://fail.example@evil.example/", "s", ""},
		{"", "s", ""},
	} {
		if got, ok := c.AfterSignOut(tt.uri, tt.state); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%q: %q, %v", tt.uri, got, ok)
		}
	}
	if _, err := oauth.ParsePostLogoutRedirectURI("http://evil.example"); err == nil || err.Error()[:25] != "post_logout_redirect_uri " {
		t.Errorf("http is for loopback: %v", err)
	}
}

func TestAnAnswerIsAddedToTheRedirectURI(t *testing.T) {
	for _, tt := range []struct {
		uri    string
		token  bool
		want   string
		custom bool
	}{
		{"https://a.example/cb", false, "https://a.example/cb?x=1", false},
		{"https://a.example/cb?y=2", false, "https://a.example/cb?y=2&x=1", false},
		{"https://a.example/cb?y=2", true, "https://a.example/cb?y=2#x=1", false},
		{"http://localhost:8080", true, "http://localhost:8080#x=1", false},
		{"acme-app:/cb", false, "acme-app:/cb?x=1", true},
	} {
		a := &oauth.Authorization{RedirectURI: tt.uri, Redirect: redirectURI(t, tt.uri), Token: tt.token}
		if got := a.Answer("x=1"); got != tt.want || a.CustomScheme() != tt.custom {
			t.Errorf("%s: %s, %v", tt.uri, got, a.CustomScheme())
		}
	}
}
