package oauth_test

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// activate sends an activation after change.
func (w *world) activate(code, token string, change func(*oauth.ActivationRequest)) (*oauth.Activation, *oauth.Error) {
	r := oauth.ActivationRequest{Product: "demo", Account: "acme", Code: code, Token: token, Body: sha256.Sum256([]byte("body")), From: "192.0.2.1"}
	if change != nil {
		change(&r)
	}
	return w.Activate(w.t.Context(), r)
}

func (w *world) licenseCode(in oauth.SignedIn) string {
	w.t.Helper()
	code, refusal := w.IssueCode(w.t.Context(), w.followed(w.link(nil)), in, "192.0.2.1")
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return code
}

func (w *world) licenseTokens(in oauth.SignedIn) *oauth.Tokens {
	w.t.Helper()
	tokens, refusal := w.IssueTokens(w.t.Context(), w.followed(w.link(tokenGrant)), in, "192.0.2.1")
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return tokens
}

func wantActivated(t testing.TB, a *oauth.Activation, refusal *oauth.Error) {
	t.Helper()
	if refusal != nil {
		t.Fatal(refusal)
	}
	if a.User.Name != maker.Name || a.Session == nil || a.Product != "demo" || a.Account != "acme" {
		t.Errorf("activated is %+v", a)
	}
}

// both runs a test over codes in memory and in the store.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("codes in memory", func(t *testing.T) { test(t, newLicensed(t)) })
	t.Run("codes in the store", func(t *testing.T) {
		w := newLicensed(t)
		w.Codes = codes.NewStored(w.store, codes.Options{Now: w.clock.Now})
		test(t, w)
	})
}

func otherBody(r *oauth.ActivationRequest) { r.Body = sha256.Sum256([]byte("another")) }

func TestACodeActivatesOnceAndAgainForTheSameRequest(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		_, in := w.signIn(maker)
		code := w.licenseCode(in)
		a, refusal := w.activate(code, "", nil)
		wantActivated(t, a, refusal)
		_, refusal = w.activate(code, "", otherBody)
		wantKind(t, refusal, oauth.InvalidGrant)
		a, refusal = w.activate(code, "", nil)
		wantActivated(t, a, refusal)
		_, refusal = w.activate(code, "", nil)
		wantKind(t, refusal, oauth.InvalidGrant)
		_, refusal = w.activate(code, "", otherBody)
		wantKind(t, refusal, oauth.InvalidGrant)
	})
}

// The backends that have the client's key could forge such a token.
func TestATokenOfALicenseIsNotSignedWithASharedKey(t *testing.T) {
	w := newLicensed(t)
	key, err := keys.NewSharedKey(strings.Repeat("k", 32))
	if err != nil {
		t.Fatal(err)
	}
	w.client("1").TokenAlg, w.client("1").HS256Key = keys.HS256, key
	w.Keys = keys.NewRing(keystest.NewVault(), keys.Options{Now: w.clock.Now, Algorithms: w.Clients.Algorithms()})
	_, in := w.signIn(maker)
	tokens := w.licenseTokens(in)
	for _, token := range []string{tokens.Access, tokens.ID} {
		a, refusal := w.activate("", token, nil)
		wantActivated(t, a, refusal)
	}
	ours, err := w.Keys.Verify(t.Context(), tokens.Access, w.Clients.Algorithms()...)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(ours, &claims); err != nil {
		t.Fatal(err)
	}
	forged, err := key.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	_, refusal := w.activate("", forged, nil)
	wantKind(t, refusal, oauth.InvalidToken)
}

func TestARetryComesWithinAMinute(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		_, in := w.signIn(maker)
		code := w.licenseCode(in)
		a, refusal := w.activate(code, "", nil)
		wantActivated(t, a, refusal)
		w.clock.Advance(time.Minute + time.Second)
		_, refusal = w.activate(code, "", nil)
		wantKind(t, refusal, oauth.InvalidGrant)
	})
}

func TestTwoOfManyEqualConcurrentActivationsSucceed(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		_, in := w.signIn(maker)
		code := w.licenseCode(in)
		outcomes := make(chan *oauth.Error)
		for i := range 8 {
			go func() {
				_, refusal := w.activate(code, "", func(r *oauth.ActivationRequest) { r.Body[0] += byte(i % 4) })
				outcomes <- refusal
			}()
		}
		succeeded := 0
		for range 8 {
			if refusal := <-outcomes; refusal == nil {
				succeeded++
			}
		}
		if succeeded != 2 {
			t.Errorf("%d of them succeeded", succeeded)
		}
	})
}

func TestARetryEndsWithTheSession(t *testing.T) {
	w := newLicensed(t)
	_, in := w.signIn(maker)
	code := w.licenseCode(in)
	a, refusal := w.activate(code, "", nil)
	wantActivated(t, a, refusal)
	if err := w.Sessions.End(t.Context(), in.Session.Key()); err != nil {
		t.Fatal(err)
	}
	_, refusal = w.activate(code, "", nil)
	wantKind(t, refusal, oauth.InvalidGrant)
}

// A retry while the store is down does not use up the retry.
func TestAnOutageDoesNotUseUpTheRetry(t *testing.T) {
	w := newLicensed(t)
	_, in := w.signIn(maker)
	code := w.licenseCode(in)
	a, refusal := w.activate(code, "", nil)
	wantActivated(t, a, refusal)
	w.Store = faultystore.NewFull(w.store)
	_, refusal = w.activate(code, "", nil)
	wantKind(t, refusal, oauth.Internal)
	w.Store = w.store
	a, refusal = w.activate(code, "", nil)
	wantActivated(t, a, refusal)
}

func TestACodeIsValidOnlyForItsProductAndAccount(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		_, in := w.signIn(maker)
		code := w.licenseCode(in)
		for name, c := range map[string]struct {
			change func(*oauth.ActivationRequest)
			kind   oauth.Kind
		}{
			"another product":      {func(r *oauth.ActivationRequest) { r.Product = "tool" }, oauth.InvalidGrant},
			"another account":      {func(r *oauth.ActivationRequest) { r.Account = "other" }, oauth.InvalidGrant},
			"an unknown product":   {func(r *oauth.ActivationRequest) { r.Product = "x" }, oauth.UnknownProduct},
			"an unknown account":   {func(r *oauth.ActivationRequest) { r.Account = "x" }, oauth.UnknownAccount},
			"a disabled client":    {func(r *oauth.ActivationRequest) { r.Product = "off" }, oauth.ClientDisabled},
			"another redirect URI": {func(r *oauth.ActivationRequest) { r.RedirectURI = "https://app.example/sso" }, oauth.InvalidGrant},
			"an unknown code":      {func(r *oauth.ActivationRequest) { r.Code = strings.Repeat("A", 43) }, oauth.InvalidGrant},
		} {
			_, refusal := w.activate(code, "", c.change)
			if refusal == nil || refusal.Kind != c.kind {
				t.Errorf("%s: %v", name, refusal)
			}
		}
		// None of these requests spent the code, and a token endpoint does not spend it, either.
		_, refusal := w.redeem(code, func(r *oauth.CodeRequest) { r.RedirectURI, r.Verifier = "http://localhost", "" })
		wantKind(t, refusal, oauth.InvalidGrant)
		a, refusal := w.activate(code, "", func(r *oauth.ActivationRequest) { r.RedirectURI = "http://localhost" })
		wantActivated(t, a, refusal)
	})
}

func TestACodeThatWasNotForALicenseActivatesNothing(t *testing.T) {
	w := newLicensed(t)
	_, in := w.signIn(maker)
	code := w.code(in, nil)
	_, refusal := w.activate(code, "", nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	redeemed, refusal := w.redeem(code, nil)
	if refusal != nil || redeemed.User.Name != "maker" {
		t.Errorf("and it is spent: %v", refusal)
	}
}

func TestATokenOfEitherKindActivatesForItsProductAndAccount(t *testing.T) {
	w := newLicensed(t)
	_, in := w.signIn(maker)
	tokens := w.licenseTokens(in)
	for name, token := range map[string]string{"ID token": tokens.ID, "access token": tokens.Access} {
		t.Run(name, func(t *testing.T) {
			a, refusal := w.activate("", token, nil)
			wantActivated(t, a, refusal)
			for _, change := range []func(*oauth.ActivationRequest){
				func(r *oauth.ActivationRequest) { r.Product = "tool" },
				func(r *oauth.ActivationRequest) { r.Account = "other" },
				func(r *oauth.ActivationRequest) { r.Token = token[:len(token)-2] },
				func(r *oauth.ActivationRequest) { r.Token = "" },
			} {
				_, refusal := w.activate("", token, change)
				wantKind(t, refusal, oauth.InvalidToken)
			}
		})
	}
}

func TestClass26TokensOfOtherKindsActivateNothing(t *testing.T) {
	w := newLicensed(t)
	_, in := w.signIn(maker)
	exchanged, refusal := w.ExchangeCode(t.Context(), oauth.CodeRequest{Client: w.client("1"), Code: w.code(in, nil), RedirectURI: callback, Verifier: verifier})
	if refusal != nil {
		t.Fatal(refusal)
	}
	own, refusal := w.ClientToken(t.Context(), w.client("2"), nil, nil, "192.0.2.1")
	if refusal != nil {
		t.Fatal(refusal)
	}
	withoutUser, err := w.Keys.Sign(t.Context(), keys.ES256, map[string]any{
		"iss": w.Issuer, "sub": "2", "aud": "2", "client_id": "2", "scp": []string{}, "exp": start.Add(time.Hour).Unix(), "iat": start.Unix(),
		"license_product": "served", "license_customer_account": "acme",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ product, token string }{
		"of the Login API": {"demo", exchanged.Access}, "a client's own": {"served", own.Access}, "of no user": {"served", withoutUser},
	} {
		_, refusal := w.activate("", c.token, func(r *oauth.ActivationRequest) { r.Product = c.product })
		if refusal == nil || refusal.Kind != oauth.InvalidToken {
			t.Errorf("a token %s: %v", name, refusal)
		}
	}
	// A token for activation is not valid for any other use.
	v, refusal := w.VerifyAccess(t.Context(), w.licenseTokens(in).Access)
	if refusal != nil || len(v.Claims.Audience) != 1 || v.Claims.Audience[0] != "1" {
		t.Errorf("its audience is %v, %v", v, refusal)
	}
}

func TestClass14AnEndedSessionOrGrantActivatesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(w *world, in oauth.SignedIn, tokens *oauth.Tokens) error
		codes bool // codes end, too
	}{
		"the session": {func(w *world, in oauth.SignedIn, _ *oauth.Tokens) error {
			return w.Sessions.End(w.t.Context(), in.Session.Key())
		}, true},
		"the user": {func(w *world, in oauth.SignedIn, _ *oauth.Tokens) error {
			w.people.Remove(in.User)
			return nil
		}, true},
		"the user's place with the customer": {func(w *world, in oauth.SignedIn, _ *oauth.Tokens) error {
			moved := in.User
			moved.Email = "maker@elsewhere.example"
			w.people.Change(moved)
			return nil
		}, true},
		"the grant": {func(w *world, _ oauth.SignedIn, tokens *oauth.Tokens) error {
			v, refusal := w.VerifyAccess(w.t.Context(), tokens.Access)
			if refusal != nil {
				return refusal
			}
			return w.Grants.End(w.t.Context(), v.Claims.Grant)
		}, false},
		"the hour": {func(w *world, _ oauth.SignedIn, _ *oauth.Tokens) error {
			w.clock.Advance(oauth.TokenLifetime)
			return nil
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLicensed(t)
			_, in := w.signIn(maker)
			code, tokens := w.licenseCode(in), w.licenseTokens(in)
			if err := c.end(w, in, tokens); err != nil {
				t.Fatal(err)
			}
			for _, token := range []string{tokens.ID, tokens.Access} {
				_, refusal := w.activate("", token, nil)
				wantKind(t, refusal, oauth.InvalidToken)
			}
			if _, refusal := w.activate(code, "", nil); c.codes {
				wantKind(t, refusal, oauth.InvalidGrant)
			} else if refusal != nil {
				t.Error(refusal)
			}
		})
	}
}

func TestAnActivationIsInTheAuditLogWithoutItsCredential(t *testing.T) {
	w := newLicensed(t)
	_, in := w.signIn(maker)
	code := w.licenseCode(in)
	for range 3 {
		_, _ = w.activate(code, "", nil)
	}
	var lines []string
	for _, e := range w.audit.All() {
		lines = append(lines, e.Message)
		for name, value := range e.ContextMap() {
			if s, ok := value.(string); ok && strings.Contains(s, code) {
				t.Errorf("%s is %s", name, s)
			}
		}
	}
	want := []string{"code issued", "code redeemed", "license activation", "license activation", "code reused", "grant ended", "license activation refused"}
	if strings.Join(lines, ", ") != strings.Join(want, ", ") {
		t.Errorf("the log has %q", lines)
	}
}
