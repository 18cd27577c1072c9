package oauth_test

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

type change = func(*oauth.AuthorizeRequest)

func TestAnAuthorizationHasWhatIsRequestedAndRegistered(t *testing.T) {
	cs := clients(t)
	for _, tt := range []struct {
		name     string
		change   change
		scopes   []string
		audience []string
	}{
		{"as it is", func(*oauth.AuthorizeRequest) {}, []string{"email"}, []string{"game"}},
		{"no scope", func(r *oauth.AuthorizeRequest) { r.Scope = []string{} }, []string{}, []string{"game"}},
		{"scopes in the order asked, each once, registered ones only", func(r *oauth.AuthorizeRequest) {
			r.Scope = []string{"offline", "admin", "email", "offline", "*", "Email"}
		}, []string{"offline", "email"}, []string{"game"}},
		{"scope * gives what is asked for", func(r *oauth.AuthorizeRequest) {
			r.ClientID, r.Scope, r.Audience = "4", []string{"b", "a", "b"}, []string{"old"}
		}, []string{"b", "a"}, []string{"old"}},
		{"audiences, encoded in the list, each once", func(r *oauth.AuthorizeRequest) {
			r.Audience = []string{url.QueryEscape("https://api.example/a b+c"), "game", "g%61me"}
		}, []string{"email"}, []string{"https://api.example/a b+c", "game"}},
		{"an audience that looks encoded, as it is", func(r *oauth.AuthorizeRequest) { r.Audience = []string{"100%"} }, []string{"email"}, []string{"100%"}},
		{"an audience that looks encoded, encoded", func(r *oauth.AuthorizeRequest) { r.Audience = []string{"100%25"} }, []string{"email"}, []string{"100%"}},
		{"PKCE left out if that is allowed", func(r *oauth.AuthorizeRequest) {
			r.ClientID, r.Audience, r.CodeChallenge, r.CodeChallengeMethod = "4", []string{"old"}, "", ""
		}, []string{"email"}, []string{"old"}},
		{"a secret and no PKCE", func(r *oauth.AuthorizeRequest) {
			r.ClientID, r.Audience, r.CodeChallenge, r.CodeChallengeMethod = "2", []string{"server"}, "", ""
		}, []string{}, []string{"server"}},
		{"a state of eight characters in more bytes", func(r *oauth.AuthorizeRequest) { r.State = "äöüäöüäö" }, []string{"email"}, []string{"game"}},
		{"a fail_auth_url by its origin", func(r *oauth.AuthorizeRequest) { r.FailAuthURL = "https://fail.example/x" }, []string{"email"}, []string{"game"}},
		{"a loopback port, and every flag", func(r *oauth.AuthorizeRequest) {
			r.RedirectURI, r.Popup, r.WidgetOnly, r.PostMessageLogin, r.DisableSocials = "http://127.0.0.1:5000/cb", true, true, true, true
		}, []string{"email"}, []string{"game"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.change)
			asked := slices.Clone(r.Scope)
			a, refusal := cs.CheckAuthorize(r)
			if refusal != nil {
				t.Fatal(refusal)
			}
			if !reflect.DeepEqual(a.Scopes, tt.scopes) || !reflect.DeepEqual(a.Audience, tt.audience) {
				t.Errorf("scopes %q, audience %q", a.Scopes, a.Audience)
			}
			if a.Client.ID != r.ClientID || a.RedirectURI != r.RedirectURI || a.State != r.State || a.Challenge != r.CodeChallenge || a.FailAuthURL != r.FailAuthURL || !a.Redirect.Matches(r.RedirectURI) {
				t.Errorf("%+v", a)
			}
			if a.Presentation != (oauth.Presentation{Popup: r.Popup, WidgetOnly: r.WidgetOnly, PostMessageLogin: r.PostMessageLogin, DisableSocials: r.DisableSocials}) {
				t.Errorf("%+v", a.Presentation)
			}
			if !slices.Equal(r.Scope, asked) {
				t.Error("the request has changed")
			}
		})
	}
}

// Each request has its own fault and all that follow in the list, so its own fault is
// the main error. The client and the redirect URI come first.
func TestTheErrorsOfAnAuthorizationComeInOrder(t *testing.T) {
	cs := clients(t)
	steps := []struct {
		name        string
		flaw        change
		kind        oauth.Kind
		description string
	}{
		{"fail_auth_url", func(r *oauth.AuthorizeRequest) { r.FailAuthURL = "https://evil.example/" }, oauth.InvalidRequest, "fail_auth_url is not registered"},
		{"method", func(r *oauth.AuthorizeRequest) { r.CodeChallengeMethod = "plain" }, oauth.InvalidRequest, "code_challenge_method should be S256"},
		{"challenge", func(r *oauth.AuthorizeRequest) { r.CodeChallenge, r.CodeChallengeMethod = "", "" }, oauth.InvalidRequest, "code_challenge is missing: a public client"},
		{"audience", func(r *oauth.AuthorizeRequest) { r.Audience = []string{"evil"} }, oauth.InvalidRequest, "audience is not registered"},
		{"no audience", func(r *oauth.AuthorizeRequest) { r.Audience = nil }, oauth.InvalidRequest, "audience is missing"},
		{"scope", func(r *oauth.AuthorizeRequest) { r.Scope = nil }, oauth.InvalidRequest, "scope is missing"},
		{"state", func(r *oauth.AuthorizeRequest) { r.State = "1234567" }, oauth.InvalidState, "8 characters"},
		{"response_type", func(r *oauth.AuthorizeRequest) { r.ResponseType = "token" }, oauth.InvalidRequest, "response_type should be code"},
		{"no response_type", func(r *oauth.AuthorizeRequest) { r.ResponseType = "" }, oauth.InvalidRequest, "response_type is missing"},
		{"redirect_uri", func(r *oauth.AuthorizeRequest) { r.RedirectURI = "https://evil.example/" }, oauth.InvalidRequest, "redirect_uri is not registered"},
		{"no redirect_uri", func(r *oauth.AuthorizeRequest) { r.RedirectURI = "" }, oauth.InvalidRequest, "redirect_uri is missing"},
		{"disabled", func(r *oauth.AuthorizeRequest) { r.ClientID = "3" }, oauth.ClientDisabled, "not available"},
		{"unknown", func(r *oauth.AuthorizeRequest) { r.ClientID = "99" }, oauth.UnknownClient, "not found"},
		{"no integer", func(r *oauth.AuthorizeRequest) { r.ClientID = "1 " }, oauth.InvalidRequest, "client_id should be an integer"},
		{"no client_id", func(r *oauth.AuthorizeRequest) { r.ClientID = "" }, oauth.InvalidRequest, "client_id is missing"},
	}
	r := request(nil)
	for _, step := range steps {
		step.flaw(&r)
		a, refusal := cs.CheckAuthorize(r)
		wantKind(t, refusal, step.kind)
		if a != nil || refusal != nil && !strings.Contains(refusal.Description, step.description) {
			t.Errorf("%s: %v", step.name, refusal)
		}
	}
}

func TestClass13PKCEIsNotDowngradedInTheRequest(t *testing.T) {
	cs := clients(t)
	good := oauth.Challenge(verifier)
	for _, client := range []string{"1", "2", "4"} {
		audience := map[string]string{"1": "game", "2": "server", "4": "old"}[client]
		for _, tt := range []struct {
			challenge, method string
			right             bool
		}{
			{good, "S256", true},
			{"", "", client != "1"},
			{"", "S256", false},
			{"", "plain", false},
			{good, "", false},
			{good, "plain", false},
			{good, "s256", false},
			{good, "S512", false},
			{good + "=", "S256", false},
			{good + "\n", "S256", false},
			{good[:42], "S256", false},
			{good + "A", "S256", false},
			{good[:42] + "/", "S256", false},
			{strings.Repeat("A", 42) + "B", "S256", false}, // bits beyond the digest
			{strings.Repeat("é", 21) + "A", "S256", false},
		} {
			_, refusal := cs.CheckAuthorize(request(func(r *oauth.AuthorizeRequest) {
				r.ClientID, r.Audience = client, []string{audience}
				r.CodeChallenge, r.CodeChallengeMethod = tt.challenge, tt.method
			}))
			if (refusal == nil) != tt.right {
				t.Errorf("client %s, challenge %q by %q: %v", client, tt.challenge, tt.method, refusal)
			}
		}
	}
}

func TestDefaultsFillInWhatIsMissing(t *testing.T) {
	cs := clients(t)
	r := cs.Defaults(oauth.AuthorizeRequest{ClientID: "1"})
	if r.RedirectURI != callback || !slices.Equal(r.Scope, []string{"email"}) || !slices.Equal(r.Audience, []string{"game"}) {
		t.Errorf("%+v", r)
	}
	given := request(func(r *oauth.AuthorizeRequest) { r.RedirectURI, r.Scope, r.Audience = "x", []string{}, []string{"y"} })
	if r := cs.Defaults(given); !reflect.DeepEqual(r, given) {
		t.Errorf("%+v became %+v", given, r)
	}
	if r := cs.Defaults(oauth.AuthorizeRequest{ClientID: "4"}); len(r.Scope) != 0 || r.Scope == nil {
		t.Errorf("scope * became %q", r.Scope)
	}
	if r := cs.Defaults(oauth.AuthorizeRequest{ClientID: "99"}); !reflect.DeepEqual(r, oauth.AuthorizeRequest{ClientID: "99", Optional: true}) {
		t.Errorf("of an unknown client: %+v", r)
	}
	encoded, err := oauth.NewClients([]*oauth.Client{{ID: "1", Public: true, TokenAlg: keys.ES256, RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback)}, Audiences: []string{"a b+c%d"}}})
	if err != nil {
		t.Fatal(err)
	}
	a, refusal := encoded.CheckAuthorize(encoded.Defaults(request(func(r *oauth.AuthorizeRequest) { r.Audience = nil })))
	if refusal != nil || !slices.Equal(a.Audience, []string{"a b+c%d"}) {
		t.Errorf("%+v, %v", a, refusal)
	}
}

func TestClass19OneClientsDefaultsDoNotChangeAnother(t *testing.T) {
	cs := clients(t)
	r := cs.Defaults(oauth.AuthorizeRequest{ClientID: "1"})
	r.Scope[0] = "changed"
	if again := cs.Defaults(oauth.AuthorizeRequest{ClientID: "1"}); again.Scope[0] != "email" {
		t.Error("a request has changed its client")
	}
}

func TestListsAreSeparatedOnlyBySpaces(t *testing.T) {
	for in, want := range map[string][]string{
		"": {}, " ": {}, "a": {"a"}, "a b": {"a", "b"}, "  a   b ": {"a", "b"},
		"a\u00a0b": {"a\u00a0b"}, "a\u3000b": {"a\u3000b"}, "a,b;c+d": {"a,b;c+d"},
	} {
		if got := oauth.SplitList(in); got == nil || !slices.Equal(got, want) {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestCallbacksHaveTheUnchangedState(t *testing.T) {
	const state = "a b+c%20&code=x#\u00fc\"<>'\\"
	for _, uri := range []string{callback, callback + "?x=1", "com.example.game:/cb", "com.example.game:/cb?"} {
		a := &oauth.Authorization{RedirectURI: uri, FailAuthURL: uri, State: state}
		q := query(t, a.Callback("CODE"))
		if !slices.Equal(q["state"], []string{state}) || !slices.Equal(q["code"], []string{"CODE"}) || !strings.HasPrefix(a.Callback("CODE"), uri) {
			t.Errorf("%s", a.Callback("CODE"))
		}
		const resume = "https://login.example/api/oauth2/auth?a=b&state=x%20y"
		fail := a.FailCallback(resume)
		q = query(t, fail)
		if !slices.Equal(q["state"], []string{state}) || !slices.Equal(q["resume"], []string{resume}) || q.Get("error") != "login_required" ||
			q.Get("error_code") != "003-040" || q.Get("error_description") == "" || !strings.HasPrefix(fail, uri) {
			t.Errorf("%s", fail)
		}
		if strings.ContainsAny(fail+a.Callback("CODE"), "+ \"<>'\\#") {
			t.Errorf("unescaped: %s", fail)
		}
	}
}

func TestACodeThatCannotBeIssuedSaysWhenToTryAgain(t *testing.T) {
	w := newWorld(t)
	w.Limits = codes.Limits{Lifetime: time.Minute, PerSession: 1}
	_, in := w.signIn(ada)
	w.code(in, nil)
	w.clock.Advance(20 * time.Second)
	a, refusal := w.Clients.CheckAuthorize(request(nil))
	if refusal != nil {
		t.Fatal(refusal)
	}
	_, refusal = w.IssueCode(t.Context(), a, in, "")
	wantKind(t, refusal, oauth.TooManyCodes)
	if refusal.RetryAfter != 40*time.Second {
		t.Errorf("in %v", refusal.RetryAfter)
	}
	w.Codes = codes.NewStored(faultystore.NewFull(w.store), codes.Options{Now: w.clock.Now})
	_, refusal = w.IssueCode(t.Context(), a, in, "")
	wantKind(t, refusal, oauth.Internal)
	if refusal.RetryAfter != time.Second {
		t.Errorf("in %v", refusal.RetryAfter)
	}
}

func TestAClientWithoutScopesMayLeaveThemOut(t *testing.T) {
	w := newWorld(t)
	asked := request(func(r *oauth.AuthorizeRequest) {
		r.ClientID, r.Scope, r.Audience = "2", nil, nil
	})
	a, refusal := w.Clients.CheckAuthorize(w.Clients.Defaults(asked))
	if refusal != nil || len(a.Scopes) != 0 {
		t.Errorf("%v: %v", a, refusal)
	}
}
