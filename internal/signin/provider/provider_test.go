package provider_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/signin"
)

func TestABrowserLeavesForTheProviderWithAllThatProtectsTheAnswer(t *testing.T) {
	f := providertest.New(t)
	d := providertest.Request
	d.State, d.LoginHint, d.SelectAccount = "the state", "ann@acme.example", true
	to, err := f.Method().Start(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {providertest.ClientID}, "redirect_uri": {d.RedirectURI}, "scope": {"openid profile email"},
		"state": {"the state"}, "nonce": {"the nonce"}, "code_challenge": {f.Challenge()}, "code_challenge_method": {"S256"},
		"login_hint": {"ann@acme.example"}, "prompt": {"select_account"},
	}
	if got := u.Query(); u.Path != "/auth" || got.Encode() != want.Encode() {
		t.Errorf("leaves for %s with %v", u.Path, got)
	}
}

func TestANewSignInIsAskedOfTheProvider(t *testing.T) {
	for name, c := range map[string]struct {
		prompts       any
		after         time.Duration
		another       bool
		set           string // in the configuration
		prompt, atAge string
	}{
		"any sign-in will do":                       {},
		"one of now":                                {after: 1, prompt: "login", atAge: "0"},
		"one of the last hour":                      {after: time.Hour, atAge: "3600"},
		"one of now, with another account":          {after: 1, another: true, prompt: "login select_account", atAge: "0"},
		"a provider without prompts":                {after: 1, another: true, prompts: []string{"none"}, atAge: "0"},
		"a provider that lets nobody choose":        {another: true, prompts: []string{"login", "none"}, prompt: "login"},
		"as the configuration wants":                {set: "consent", prompt: "consent"},
		"that, and one of now":                      {after: 1, another: true, set: "consent login", prompt: "consent login select_account", atAge: "0"},
		"that, and another account":                 {another: true, set: "select_account", prompt: "select_account"},
		"a provider that lets nobody choose, again": {after: 1, another: true, prompts: []string{"login"}, prompt: "login", atAge: "0"},
	} {
		f := providertest.New(t)
		f.Metadata = map[string]any{"prompt_values_supported": c.prompts}
		now := time.Now()
		d := providertest.Request
		d.SelectAccount = c.another
		if c.after != 0 {
			d.AuthAfter = now.Add(-c.after)
		}
		to, err := f.Method(func(o *provider.Options) {
			o.Now = func() time.Time { return now }
			if o.Params = map[string]string{"access_type": "offline"}; c.set != "" {
				o.Params["prompt"] = c.set
			}
		}).Start(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		if q := u.Query(); q.Get("prompt") != c.prompt || q.Get("max_age") != c.atAge || q.Get("access_type") != "offline" {
			t.Errorf("%s: prompt %q, max_age %q", name, q.Get("prompt"), q.Get("max_age"))
		}
	}
}

func TestACodeIsRedeemedWithTheVerifierAndTheSecret(t *testing.T) {
	for name, c := range map[string]struct {
		methods any
		secret  string
		basic   string // the user name of the header
		client  string // client_id in the form
	}{
		"by default in the header": {nil, providertest.Secret, providertest.ClientID, ""},
		"in the header":            {[]string{"client_secret_post", "client_secret_basic"}, providertest.Secret, providertest.ClientID, ""},
		"in the form":              {[]string{"client_secret_post"}, providertest.Secret, "", providertest.ClientID},
		"without a secret":         {[]string{"none"}, "", "", providertest.ClientID},
	} {
		f := providertest.New(t)
		f.Metadata = map[string]any{"token_endpoint_auth_methods_supported": c.methods}
		p := f.Method(func(o *provider.Options) { o.Secret = provider.NewSecret(c.secret) })
		u, err := p.Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if u.Subject == "" || u.Signin != "acme" || u.Name != "ann-at-acme" {
			t.Errorf("%s: %+v", name, u)
		}
		if f.Times("/token") != 1 || f.Basic != c.basic || f.Form.Get("client_id") != c.client || f.Form.Get("code_verifier") != providertest.Request.Verifier ||
			f.Form.Get("code") != "good" || f.Form.Get("redirect_uri") != providertest.Request.RedirectURI {
			t.Errorf("%s: asked %d times, as %q, with %v", name, f.Times("/token"), f.Basic, f.Form)
		}
	}
}

// Class 26, and OpenID Connect Core section 3.1.3.7.
func TestClass26AnIDTokenThatIsNotForThisSignInIsRefused(t *testing.T) {
	now := time.Now()
	again := providertest.Request
	again.AuthAfter = now
	type claims = map[string]any
	for name, c := range map[string]struct {
		claims claims
		token  claims
		sign   func(f *providertest.Provider) func([]byte) string
		d      signin.ProviderRequest
		want   error // nil: it is taken
	}{
		"as it should be":                         {},
		"several audiences, for us":               {claims: claims{"aud": []string{"other", providertest.ClientID}, "azp": providertest.ClientID}},
		"the nonce of another sign-in":            {claims: claims{"nonce": "another"}, want: signin.ErrAnswer},
		"no nonce":                                {claims: claims{"nonce": nil}, want: signin.ErrAnswer},
		"another issuer":                          {claims: claims{"iss": "https://evil.example"}, want: signin.ErrAnswer},
		"another audience":                        {claims: claims{"aud": "other"}, want: signin.ErrAnswer},
		"no audience":                             {claims: claims{"aud": nil}, want: signin.ErrAnswer},
		"several audiences, for nobody":           {claims: claims{"aud": []string{"other", providertest.ClientID}}, want: signin.ErrAnswer},
		"several audiences, for another":          {claims: claims{"aud": []string{"other", providertest.ClientID}, "azp": "other"}, want: signin.ErrAnswer},
		"an azp of another":                       {claims: claims{"azp": "other"}, want: signin.ErrAnswer},
		"no sub":                                  {claims: claims{"sub": nil}, want: signin.ErrAnswer},
		"a sub without end":                       {claims: claims{"sub": strings.Repeat("x", 256)}, want: signin.ErrAnswer},
		"a sub with a line break":                 {claims: claims{"sub": "ann\nroot"}, want: signin.ErrAnswer},
		"no exp":                                  {claims: claims{"exp": nil}, want: signin.ErrAnswer},
		"no iat":                                  {claims: claims{"iat": nil}, want: signin.ErrAnswer},
		"an at_hash of another token":             {claims: claims{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, want: signin.ErrAnswer},
		"no ID token":                             {token: claims{"id_token": nil}, want: signin.ErrAnswer},
		"an ID token that is none":                {token: claims{"id_token": "x.y.z"}, want: signin.ErrAnswer},
		"an ID token that is no text":             {token: claims{"id_token": 1}, want: signin.ErrAnswer},
		"no access token":                         {token: claims{"access_token": nil}, want: signin.ErrAnswer},
		"signed with the client secret":           {want: signin.ErrAnswer, sign: func(f *providertest.Provider) func([]byte) string { return hs256(f) }},
		"not signed":                              {want: signin.ErrAnswer, sign: func(*providertest.Provider) func([]byte) string { return unsigned }},
		"signed with a key that is not published": {want: signin.ErrAnswer, sign: func(f *providertest.Provider) func([]byte) string { return providertest.New(f.T).ES256 }},
		"a sign-in from before, where a new one is needed": {d: again, claims: claims{"auth_time": now.Add(-2 * time.Minute).Unix()}, want: signin.ErrNotReauthenticated},
		"an unknown sign-in, where a new one is needed":    {d: again, want: signin.ErrNotReauthenticated},
		"a new sign-in": {d: again, claims: claims{"auth_time": now.Unix()}},
	} {
		t.Run(name, func(t *testing.T) {
			f := providertest.New(t)
			f.Claims, f.Token = c.claims, c.token
			if c.sign != nil {
				f.Sign = c.sign(f)
			}
			if c.d.Nonce == "" {
				c.d = providertest.Request
			}
			_, err := f.Method().Finish(t.Context(), c.d, providertest.GoodAnswer)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, expected %v", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "an access token") {
				t.Errorf("the error has the token in it: %v", err)
			}
		})
	}
}

func hs256(f *providertest.Provider) func([]byte) string {
	return func(payload []byte) string { return f.Signed(jose.HS256, []byte(providertest.Secret), payload) }
}

func unsigned(payload []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(payload) + "."
}

func TestClocksMayBeAMinuteAheadOrBehind(t *testing.T) {
	for name, c := range map[string]struct {
		claim string
		off   time.Duration
		taken bool
	}{
		"expired 50 seconds ago":       {"exp", -50 * time.Second, true},
		"expired 70 seconds ago":       {"exp", -70 * time.Second, false},
		"issued in 50 seconds":         {"iat", 50 * time.Second, true},
		"issued in 70 seconds":         {"iat", 70 * time.Second, false},
		"good from 50 seconds on":      {"nbf", 50 * time.Second, true},
		"good from 70 seconds on":      {"nbf", 70 * time.Second, false},
		"expires at the end of time":   {"exp", 1 << 62, true},
		"good from the end of time on": {"nbf", 1 << 62, false},
	} {
		f := providertest.New(t)
		now := time.Now()
		f.Claims = map[string]any{c.claim: now.Add(c.off).Unix()}
		p := f.Method(func(o *provider.Options) { o.Now = func() time.Time { return now } })
		if _, err := p.Finish(t.Context(), providertest.Request, providertest.GoodAnswer); (err == nil) != c.taken {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyTheProviderItselfAnswers(t *testing.T) { // RFC 9207
	for name, c := range map[string]struct {
		answer   string
		promises bool // iss in every answer
		want     error
	}{
		"its name":                         {answer: "code=good&iss=SELF", promises: true},
		"no name":                          {answer: "code=good"},
		"no name, where it promised one":   {answer: "code=good", promises: true, want: signin.ErrAnswer},
		"another's name":                   {answer: "code=good&iss=https://evil.example", want: signin.ErrAnswer},
		"an empty name":                    {answer: "code=good&iss=", want: signin.ErrAnswer},
		"its name and another's":           {answer: "code=good&iss=SELF&iss=https://evil.example", want: signin.ErrAnswer},
		"two codes":                        {answer: "code=good&code=better", want: signin.ErrAnswer},
		"no code":                          {answer: "", want: signin.ErrAnswer},
		"a code without end":               {answer: "code=" + strings.Repeat("x", provider.MaxCode+1), want: signin.ErrAnswer},
		"an error under another's name":    {answer: "error=access_denied&iss=https://evil.example", want: signin.ErrAnswer},
		"an error under its name":          {answer: "error=access_denied&iss=SELF", want: signin.ErrCancelled},
		"an error beside a code":           {answer: "error=access_denied&code=good", want: signin.ErrCancelled},
		"an error where it promised names": {answer: "error=access_denied", promises: true, want: signin.ErrAnswer},
	} {
		f := providertest.New(t)
		f.Metadata = map[string]any{"authorization_response_iss_parameter_supported": c.promises}
		answer, err := url.ParseQuery(strings.ReplaceAll(c.answer, "SELF", url.QueryEscape(f.Server.URL)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Method().Finish(t.Context(), providertest.Request, answer); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", name, err, c.want)
		}
		if c.want != nil && f.Times("/token") != 0 {
			t.Errorf("%s: the code was redeemed", name)
		}
	}
}

func TestWhatTheProviderRefusesIsToldApart(t *testing.T) {
	down := func(err error) bool { return errors.As(err, new(*signin.DownError)) }
	refused := func(code string) func(error) bool {
		return func(err error) bool {
			r := (*signin.RefusedError)(nil)
			return errors.As(err, &r) && r.Code == code
		}
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for code, right := range map[string]func(error) bool{
		"access_denied": is(signin.ErrCancelled), "login_required": is(signin.ErrCancelled),
		"temporarily_unavailable": down, "server_error": down,
		"invalid_scope": refused("invalid_scope"), "<b>": refused("an unknown error"), strings.Repeat("x", 99): refused("an unknown error"),
	} {
		f := providertest.New(t)
		if _, err := f.Method().Finish(t.Context(), providertest.Request, url.Values{"error": {code}, "error_description": {"secret"}}); !right(err) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %q: %v", code, err)
		}
	}
	for body, c := range map[string]struct {
		status int
		right  func(error) bool
	}{
		`{"error":"invalid_grant","error_description":"secret"}`:  {400, is(signin.ErrAnswer)},
		`{"error":"invalid_client","error_description":"secret"}`: {401, refused("invalid_client")},
		`{"error":"<script>","error_description":"secret"}`:       {400, refused("an unknown error")},
		`{"error":"invalid_grant"}`:                               {200, is(signin.ErrAnswer)},
		`{"error":"x","a":"secret"}`:                              {500, down},
		`secret, too much`:                                        {429, down},
		`secret, not here`:                                        {404, refused("an unknown error")},
		`secret, no JSON`:                                         {200, is(signin.ErrAnswer)},
	} {
		f := providertest.New(t)
		f.Handle["/token"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			fmt.Fprint(w, body)
		}
		if _, err := f.Method().Finish(t.Context(), providertest.Request, providertest.GoodAnswer); !c.right(err) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", body, err)
		}
		if f.Times("/token") != 1 {
			t.Errorf("%s: asked %d times", body, f.Times("/token"))
		}
	}
}

func TestTheSecretIsNotPrinted(t *testing.T) {
	f := providertest.New(t)
	p := f.Method()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, p.Options()); strings.Contains(got, providertest.Secret) || strings.Contains(got, fmt.Sprintf("%x", providertest.Secret)) {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if !slices.Equal(p.Options().Scopes, []string{"openid", "profile", "email"}) {
		t.Errorf("scopes %q", p.Options().Scopes)
	}
}
