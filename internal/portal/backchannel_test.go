package portal_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/session"
)

// Sessions that are older than the key kept it so.
func TestALogoutTokenEndsASessionThatKeepsItsNameAsTheProviderHasIt(t *testing.T) {
	for name, claims := range map[string]map[string]any{"by the session": {"sid": "s1"}, "by both": {"sid": "s1", "sub": "ann"}} {
		f := newAtProvider(t)
		newer := f.signsIn(map[string]any{"sub": "ann", "sid": "s1"})
		older, _, err := f.hosted.Server.BeginSession(t.Context(), session.SignIn{User: f.signedIn(newer), Upstream: session.ProviderSession{ID: "s1"}}, "")
		if err != nil {
			t.Fatal(err)
		}
		if f.who(older.Encode()) == "" {
			t.Fatalf("%s: there is no session", name)
		}
		want(t, f.logsOut(f.logoutToken(claims)), http.StatusOK)
		if f.who(older.Encode()) != "" || f.who(newer.session()) != "" {
			t.Errorf("%s: the user is still signed in", name)
		}
	}
}

// OpenID Connect Back-Channel Logout section 2.7.
func TestALogoutTokenEndsTheSessionsThatItNames(t *testing.T) {
	const phone, desk, other, nameless, local = "phone", "desk", "other", "nameless", "local"
	for name, c := range map[string]struct {
		claims map[string]any
		ended  []string
	}{
		"a session of the provider":            {map[string]any{"sid": "s1"}, []string{phone}},
		"a session and its user":               {map[string]any{"sid": "s2", "sub": "ann"}, []string{desk}},
		"all of a user":                        {map[string]any{"sub": "ann"}, []string{phone, desk, nameless}},
		"a session of another user":            {map[string]any{"sid": "s1", "sub": "bob"}, nil},
		"a session that never was":             {map[string]any{"sid": "s9"}, nil},
		"a user who never was":                 {map[string]any{"sub": "eve"}, nil},
		"several audiences, and no expiration": {map[string]any{"sub": "bob", "aud": []string{"x", providertest.ClientID}, "exp": nil}, []string{other}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newAtProvider(t)
			browsers := map[string]*visitor{
				phone:    f.signsIn(map[string]any{"sub": "ann", "sid": "s1"}),
				desk:     f.signsIn(map[string]any{"sub": "ann", "sid": "s2"}),
				other:    f.signsIn(map[string]any{"sub": "bob", "sid": "s3"}),
				nameless: f.signsIn(map[string]any{"sub": "ann", "sid": 7}),
				local:    f.visitor(),
			}
			browsers[local].try("demo", "demo password")
			w := f.logsOut(f.logoutToken(c.claims))
			want(t, w, http.StatusOK)
			if got := w.Header().Get("Cache-Control"); got != "no-store" || w.Body.Len() != 0 {
				t.Errorf("Cache-Control %q, body %q", got, w.Body)
			}
			for _, name := range c.ended {
				if f.who(browsers[name].session()) != "" {
					t.Errorf("%s is still signed in", name)
				}
				delete(browsers, name)
			}
			for name, b := range browsers {
				if f.who(b.session()) == "" {
					t.Errorf("%s was signed out", name)
				}
			}
		})
	}
}

func TestAProviderMayWriteItsUsersAndSessionsAsItLikes(t *testing.T) {
	for _, name := range []string{
		"ann smith", "acme|ann", "안나\u3000김", "ann\u00a0smith", "ann\u200bsmith", "ann\u00ad", "\U0001f511", "ＡＮＮ", strings.Repeat("x", subjects.MaxLength),
	} {
		for what, claims := range map[string]map[string]any{
			"by the user":    {"sub": name},
			"by the session": {"sid": name},
			"by both":        {"sub": name, "sid": name},
		} {
			for whose, f := range map[string]*atProvider{"of its own": newAtProvider(t), "of a local user": newAtProvider(t, linking)} {
				begun := verifiedAs("demo@example.com")
				begun["sub"], begun["sid"] = name, name
				b := f.signsIn(begun)
				begun["sub"], begun["sid"] = name+"2", name+"2"
				if len(name) == subjects.MaxLength {
					begun["sub"], begun["sid"] = name[1:], name[1:]
				}
				other := f.signsIn(begun)
				want(t, f.logsOut(f.logoutToken(claims)), http.StatusOK)
				if f.who(b.session()) != "" || f.who(other.session()) == "" {
					t.Errorf("%.30q, a session %s, %s: as %q, the other as %q", name, whose, what, f.who(b.session()), f.who(other.session()))
				}
			}
		}
	}
}

func TestASessionOfAProviderMayHaveALongName(t *testing.T) {
	f := newAtProvider(t)
	for name, c := range map[string]struct {
		sid  string
		want int
	}{
		"the longest":            {strings.Repeat("s", provider.MaxSession), http.StatusOK},
		"a line of its own":      {"a\nb\x00", http.StatusOK},
		"one byte too long":      {strings.Repeat("s", provider.MaxSession+1), http.StatusBadRequest},
		"as long as can be sent": {strings.Repeat("s", portal.MaxLogoutRequest/2), http.StatusBadRequest},
	} {
		b := f.signsIn(map[string]any{"sub": "ann", "sid": c.sid})
		w := f.logsOut(f.logoutToken(map[string]any{"sid": c.sid, "jti": name}))
		if over := f.who(b.session()) == ""; w.Code != c.want || over != (c.want == http.StatusOK) {
			t.Errorf("%s: status %d, over: %v", name, w.Code, over)
		}
	}
}

func TestClass27AReplayedLogoutTokenEndsNothing(t *testing.T) {
	f := newAtProvider(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	token := f.logoutToken(map[string]any{"sub": "ann", "exp": nil})
	want(t, f.logsOut(token), http.StatusOK)
	if f.who(b.session()) != "" {
		t.Fatal("the session is alive")
	}
	b = f.signsIn(map[string]any{"sub": "ann"})
	for range 20 { // far beyond the time for which it is remembered
		want(t, f.logsOut(token), http.StatusBadRequest)
		if f.who(b.session()) == "" {
			t.Fatalf("a token of %s ended another session", f.clock.Now())
		}
		f.clock.Advance(30 * time.Second)
	}
	want(t, f.logsOut(f.logoutToken(map[string]any{"sub": "ann", "jti": "2"})), http.StatusOK)
	if f.who(b.session()) != "" {
		t.Error("a new token ended nothing")
	}
}

func TestClass27ALogoutTokenThatIsNotRightIsRefused(t *testing.T) {
	f := newAtProvider(t)
	b := f.signsIn(map[string]any{"sub": "ann", "sid": "s1"})
	now := f.clock.Now()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	type claims = map[string]any
	event := func(v any) claims { return claims{"events": v} }
	tokens := map[string]string{
		"empty": "", "no JWT": "x.y.z", "two parts": strings.Join(strings.Split(f.logoutToken(claims{"sub": "ann"}), ".")[:2], "."),
		"unsigned": "eyJhbGciOiJub25lIn0." + strings.Split(f.logoutToken(claims{"sub": "ann"}), ".")[1] + ".",
	}
	for name, changes := range map[string]claims{
		"of another issuer": {"iss": "https://evil.example"}, "without an issuer": {"iss": nil},
		"for another application": {"aud": "other"}, "for nobody": {"aud": nil}, "for a number": {"aud": 7},
		"without iat": {"iat": nil}, "of long ago": {"iat": now.Add(-provider.LogoutAge - provider.ClockSkew - time.Second).Unix(), "exp": nil},
		"of the future": {"iat": now.Add(2 * provider.ClockSkew).Unix()}, "expired": {"exp": now.Add(-2 * provider.ClockSkew).Unix()},
		"with an iat of text": {"iat": "now"},
		"without jti":         {"jti": nil}, "with an empty jti": {"jti": ""}, "with a huge jti": {"jti": strings.Repeat("x", 300)},
		"with a nonce": {"nonce": "x"}, "with an empty nonce": {"nonce": ""},
		"without events": {"events": nil}, "with other events": event(claims{"http://other.example": claims{}}),
		"with an event of text": event(claims{provider.LogoutEvent: "yes"}), "with an event of null": event(claims{provider.LogoutEvent: json.RawMessage("null")}),
		"with events of text": event(provider.LogoutEvent), "with a list of events": event([]string{provider.LogoutEvent}),
		"of nobody": {"sub": nil}, "with an empty sub": {"sub": ""}, "with an empty sid": {"sid": ""}, "with a sid that is a number": {"sid": 1},
	} {
		if _, there := changes["sub"]; !there {
			changes["sub"] = "ann"
		}
		tokens[name] = f.logoutToken(changes)
	}
	good := strings.Split(f.logoutToken(claims{"sub": "ann"}), ".")
	payload := must(jose.ParseSignedCompact(strings.Join(good, "."), []jose.SignatureAlgorithm{jose.ES256})).UnsafePayloadWithoutVerification()
	tokens["signed by another client"] = f.provider.Signed(jose.ES256, jose.JSONWebKey{Key: other, KeyID: "1"}, payload)
	tokens["signed by a key that is not known"] = f.provider.Signed(jose.ES256, jose.JSONWebKey{Key: other, KeyID: "9"}, payload)
	tokens["signed with the client secret"] = f.provider.Signed(jose.HS256, []byte(providertest.Secret), payload)
	for _, typ := range []string{"at+jwt", "id_token+jwt", ""} {
		tokens["of type "+typ] = typed(t, f.provider, typ, payload)
	}
	for name, token := range tokens {
		w := f.logsOut(token)
		var answer map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if w.Code != http.StatusBadRequest || answer["error"] != "invalid_request" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d: %v", name, w.Code, answer)
		}
		if f.who(b.session()) == "" {
			t.Fatalf("%s: it ended a session", name)
		}
	}
	for _, typ := range []string{"logout+jwt", "JWT", "application/logout+jwt"} {
		b := f.signsIn(claims{"sub": "ann"})
		typed := typed(t, f.provider, typ, []byte(strings.Replace(string(payload), `"jti":"1"`, `"jti":"of `+typ+`"`, 1)))
		if want(t, f.logsOut(typed), http.StatusOK); f.who(b.session()) != "" {
			t.Errorf("of type %s: the session is alive", typ)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// typed is a signed token with a typ.
func typed(t *testing.T, f *providertest.Provider, typ string, payload []byte) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: f.Key, KeyID: f.Kid}}, options))
	return must(must(signer.Sign(payload)).CompactSerialize())
}

func TestALogoutTokenThatDidNotDoItsWorkMayComeAgain(t *testing.T) {
	f := newAtProvider(t)
	for call := 1; call < 50; call++ {
		sub := fmt.Sprint("ann ", call)
		b := f.signsIn(map[string]any{"sub": sub, "sid": "s1"})
		token := f.logoutToken(map[string]any{"sub": sub, "sid": "s1", "jti": fmt.Sprint("at call ", call)})
		count := f.store.FailCalls(func(n int) bool { return n == call })
		w := f.logsOut(token)
		calls := count()
		f.store.Down(false)
		if calls < call {
			if call < 4 {
				t.Errorf("only %d calls", calls)
			}
			return // all have failed once
		}
		if w.Code == http.StatusOK { // what failed was not needed, or tried again
			if f.who(b.session()) != "" {
				t.Fatalf("call %d failed, and the session is alive", call)
			}
			continue
		}
		want(t, w, http.StatusBadRequest)
		want(t, f.logsOut(token), http.StatusOK)
		if f.who(b.session()) != "" {
			t.Fatalf("call %d failed, and the second time ended nothing", call)
		}
	}
	t.Error("the calls do not end")
}

func TestClass16ALogoutTokenEndsSessionsInAFullStore(t *testing.T) {
	f := newAtProvider(t)
	b := f.signsIn(map[string]any{"sub": "ann", "sid": "s1"})
	f.store.Full()
	token := f.logoutToken(map[string]any{"sub": "ann", "sid": "s1"})
	for range 2 {
		want(t, f.logsOut(token), http.StatusOK)
		if f.who(b.session()) != "" {
			t.Error("the session is alive")
		}
	}
	f.store.Down(false)
	want(t, f.logsOut(token), http.StatusOK)
	want(t, f.logsOut(token), http.StatusBadRequest) // it is marked again
}

// Class 24: anybody can make up a token that only its signature gives away.
func TestClass24TokensThatAreMadeUpCostTheProviderNothing(t *testing.T) {
	f := newAtProvider(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	discoveries, keys := f.provider.Times("/.well-known/openid-configuration"), f.provider.Times("/jwks")
	for i := range 50 {
		f.logsOut(f.logoutToken(map[string]any{"sub": "ann", "aud": "other"})) // anybody can see that
		token := f.logoutToken(map[string]any{"sub": "ann", "jti": fmt.Sprint(i)})
		w := f.logsOut(token[:strings.LastIndex(token, ".")] + "." + strings.Repeat("A", 86))
		want(t, w, http.StatusBadRequest)
	}
	if got := f.provider.Times("/jwks") - keys; got > provider.KeysBurst {
		t.Errorf("the keys were read %d times", got)
	}
	if got := f.provider.Times("/.well-known/openid-configuration") - discoveries; got != 0 {
		t.Errorf("the provider was discovered %d times", got)
	}
	// The true provider, with another key, is not shut out for long.
	f.provider.Rotate("2")
	f.clock.Advance(provider.KeysEvery)
	token := f.logoutToken(map[string]any{"sub": "ann", "jti": "true"})
	w := f.logsOut(token)
	for range 100 { // the library may still give the answer of before
		if w.Code == http.StatusOK {
			break
		}
		time.Sleep(time.Millisecond)
		w = f.logsOut(token)
	}
	want(t, w, http.StatusOK)
	if f.who(b.session()) != "" {
		t.Error("the session is alive")
	}
}

func TestALogoutRequestIsAFormWithOneToken(t *testing.T) {
	f := newAtProvider(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	token := f.logoutToken(map[string]any{"sub": "ann"})
	one := url.Values{"logout_token": {token}}.Encode()
	const form = "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		method, path, kind, body string
		want                     int
	}{
		"by GET":                {"GET", "acme?" + one, "", "", http.StatusMethodNotAllowed},
		"in the query":          {"POST", "acme?" + one, form, "", http.StatusBadRequest},
		"twice":                 {"POST", "acme", form, one + "&" + one, http.StatusBadRequest},
		"as JSON":               {"POST", "acme", "application/json", `{"logout_token":"` + token + `"}`, http.StatusBadRequest},
		"as a form that is not": {"POST", "acme", form, one + "&%zz", http.StatusBadRequest},
		"too long":              {"POST", "acme", form, one + "&x=" + strings.Repeat("x", portal.MaxLogoutRequest), http.StatusBadRequest},
		"of no kind":            {"POST", "acme", "", one, http.StatusBadRequest},
		"to local accounts":     {"POST", "local", form, one, http.StatusNotFound},
		"to a provider of yore": {"POST", "gone", form, one, http.StatusNotFound},
		"to no provider":        {"POST", "", form, one, http.StatusNotFound},
	} {
		if got := f.sends(c.method, c.path, c.kind, c.body); got.Code != c.want || f.who(b.session()) == "" {
			t.Errorf("%s: status %d: %s", name, got.Code, got.Body)
		}
	}
	want(t, f.sends("POST", "acme", form+"; charset=utf-8", "x=y&"+one), http.StatusOK)
	if f.who(b.session()) != "" {
		t.Error("the session is alive")
	}
}

func (f *atProvider) sends(method, path, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(f.t.Context(), method, portal.BackchannelPrefix+path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	f.hosted.Endpoint(r.URL.Path)(w, r)
	return w
}
