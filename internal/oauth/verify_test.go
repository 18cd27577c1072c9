package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// openIDTokens issues tokens to client 1 for a session.
func (w *world) openIDTokens(in oauth.SignedIn, change openIDChange) *oauth.Tokens {
	w.t.Helper()
	a, refusal := w.CheckOpenID(w.t.Context(), openID(change))
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	code, refusal := w.IssueCode(w.t.Context(), a, in, "192.0.2.1")
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	tokens, refusal := w.ExchangeCode(w.t.Context(), oauth.CodeRequest{
		Client: a.Client, Code: code, RedirectURI: callback, Verifier: verifier, IDToken: true, From: "192.0.2.1",
	})
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return tokens
}

// payload returns the claims of a token that this server signed.
func (w *world) payload(token string) map[string]any {
	w.t.Helper()
	payload, err := w.Keys.Verify(w.t.Context(), token, keys.ES256)
	if err != nil {
		w.t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// signed returns a token of this server with changed claims. nil removes a claim.
func (w *world) signed(claims map[string]any, change map[string]any) string {
	w.t.Helper()
	c := maps.Clone(claims)
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	token, err := w.Keys.Sign(w.t.Context(), keys.ES256, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func TestAnAccessTokenIsValidWithItsGrantSessionUserAndClient(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*world, oauth.SignedIn, map[string]any)
		kind oauth.Kind
	}{
		{"its grant ends", func(w *world, _ oauth.SignedIn, c map[string]any) {
			if err := w.Grants.End(w.t.Context(), c["gid"].(string)); err != nil {
				w.t.Fatal(err)
			}
		}, oauth.InvalidToken},
		{"its session ends", func(w *world, in oauth.SignedIn, _ map[string]any) {
			if err := w.EndSession(w.t.Context(), in, ""); err != nil {
				w.t.Fatal(err)
			}
		}, oauth.InvalidToken},
		{"its user is gone", func(w *world, _ oauth.SignedIn, _ map[string]any) { w.people.Remove(ada) }, oauth.InvalidToken},
		{"its client is disabled", func(w *world, _ oauth.SignedIn, _ map[string]any) { w.client("1").Disabled = true }, oauth.InvalidToken},
		{"it expires", func(w *world, _ oauth.SignedIn, _ map[string]any) { w.clock.Advance(oauth.TokenLifetime) }, oauth.InvalidToken},
		{"the store does not answer, which is no fault of the token", func(w *world, _ oauth.SignedIn, _ map[string]any) { w.store.Down(true) }, oauth.Internal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			_, in := w.signIn(ada)
			tokens := w.openIDTokens(in, nil)
			w.clock.Advance(oauth.TokenLifetime - time.Second)
			v, refusal := w.VerifyAccess(t.Context(), tokens.Access)
			if refusal != nil {
				t.Fatal(refusal)
			}
			if v.User.Name != "ada" || v.Client.ID != "1" || v.Session.Key() != in.Session.Key() {
				t.Errorf("the token is of %+v", v)
			}
			tt.end(w, in, w.payload(tokens.Access))
			_, refusal = w.VerifyAccess(t.Context(), tokens.Access)
			wantKind(t, refusal, tt.kind)
		})
	}
}

func TestAnAccessTokenGivesTheCurrentUser(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	tokens := w.openIDTokens(in, nil)
	w.people.Change(session.User{Subject: ada.Subject, Name: "Ada L.", Groups: []string{"admins"}})
	v, refusal := w.VerifyAccess(t.Context(), tokens.Access)
	if refusal != nil {
		t.Fatal(refusal)
	}
	if v.User.Name != "Ada L." || !reflect.DeepEqual(v.User.Groups, []string{"admins"}) {
		t.Errorf("the user is %+v", v.User)
	}
}

func TestClass26OtherTokensAreNotAccessTokens(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	tokens := w.openIDTokens(in, func(r *oauth.OpenIDRequest) { r.Scope = []string{"openid"} })
	access, id := w.payload(tokens.Access), w.payload(tokens.ID)
	type set = map[string]any
	now := float64(start.Unix())
	for name, token := range map[string]string{
		"an ID token":                                  tokens.ID,
		"an ID token whose audience is a list":         w.signed(id, set{"aud": []string{"1"}, "client_id": "1"}),
		"another issuer's":                             w.signed(access, set{"iss": "https://other.example"}),
		"no issuer's":                                  w.signed(access, set{"iss": nil}),
		"one without an expiry":                        w.signed(access, set{"exp": nil}),
		"one from the future":                          w.signed(access, set{"iat": now + 61}),
		"an unknown client's":                          w.signed(access, set{"client_id": "99"}),
		"one without a client":                         w.signed(access, set{"client_id": nil}),
		"one without a session":                        w.signed(access, set{"sid": nil}),
		"one of a session that is none":                w.signed(access, set{"sid": "x"}),
		"one of another session":                       w.signed(access, set{"sid": strings.Repeat("A", 43)}),
		"a public client's own":                        w.signed(access, set{"gid": nil, "sub": "1"}),
		"a user's without a grant":                     w.signed(access, set{"gid": nil, "client_id": "2"}),
		"one with malformed claims":                    w.signed(access, set{"exp": "soon"}),
		"one without scp, which only ID tokens lack":   w.signed(access, set{"scp": nil}),
		"a license link, which is sealed with a key":   mustSeal(t, w),
		"a token that is none":                         "a.b.c",
		"no token":                                     "",
		"another key's with the same ID in its header": w.openIDTokens(in, nil).Access + "x",
	} {
		t.Run(name, func(t *testing.T) {
			_, refusal := w.VerifyAccess(t.Context(), token)
			wantKind(t, refusal, oauth.InvalidToken)
			if token != "" && refusal != nil && strings.Contains(refusal.Error(), token) {
				t.Error("the error has the token in it")
			}
		})
	}
	if _, refusal := w.VerifyAccess(t.Context(), w.signed(access, set{"iat": now + 60})); refusal != nil {
		t.Error("clocks may differ by a minute:", refusal)
	}
	w.clock.Advance(oauth.TokenLifetime)
	if _, refusal := w.VerifyAccess(t.Context(), tokens.Access); !errors.Is(refusal, oauth.ErrTokenExpired) {
		t.Errorf("an expired one: %v", refusal)
	}
}

func mustSeal(t *testing.T, w *world) string {
	t.Helper()
	sealed, err := w.Keys.Seal(t.Context(), "license link", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestAHintNamesOneSessionOfOneUser(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	_, other := w.signIn(ada)
	tokens := w.openIDTokens(in, nil)
	id := w.payload(tokens.ID)
	w.clock.Advance(100 * oauth.TokenLifetime) // it may have expired
	hint, refusal := w.IDTokenHint(t.Context(), tokens.ID)
	if refusal != nil {
		t.Fatal(refusal)
	}
	if hint.Client.ID != "1" || !hint.Names(in.Session) || hint.Names(other.Session) {
		t.Errorf("the hint is %+v", hint)
	}
	type set = map[string]any
	for name, token := range map[string]string{
		"an access token":          tokens.Access,
		"an access token in shape": w.signed(id, set{"scp": []string{}}),
		"another issuer's":         w.signed(id, set{"iss": "https://other.example"}),
		"an unknown client's":      w.signed(id, set{"aud": "99"}),
		"a disabled client's":      w.signed(id, set{"aud": "3"}),
		"of no session":            w.signed(id, set{"sid": nil}),
		"nothing":                  "",
	} {
		_, refusal := w.IDTokenHint(t.Context(), token)
		if refusal == nil || refusal.Kind != oauth.InvalidToken {
			t.Errorf("%s: %v", name, refusal)
		}
	}
	anonymous, refusal := w.IDTokenHint(t.Context(), w.signed(id, set{"sub": "another"}))
	if refusal != nil || anonymous.Names(in.Session) {
		t.Errorf("another user's session: %v", refusal)
	}
}

func TestTheClaimsOfAnIDToken(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	w.clock.Advance(10 * time.Second)
	tokens := w.openIDTokens(in, nil)
	got, access := w.payload(tokens.ID), w.payload(tokens.Access)
	if hash, _ := got["at_hash"].(string); len(hash) != 22 {
		t.Errorf("at_hash %q", hash)
	}
	key := in.Session.Key()
	want := map[string]any{
		"iss": w.Issuer, "sub": ada.Subject, "aud": "1", "iat": float64(start.Unix() + 10), "exp": float64(start.Unix() + 3610),
		"auth_time": float64(start.Unix()), "nonce": "n", "sid": base64.RawURLEncoding.EncodeToString(key[:]), "gid": access["gid"],
		"at_hash": got["at_hash"], "email": ada.Email, "email_verified": true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if access["sid"] != want["sid"] || access["client_id"] != "1" {
		t.Errorf("access token: %v", access)
	}
}

func TestAUsersClaimsDependOnTheScopes(t *testing.T) {
	u := session.User{Subject: "s", Name: "ada", Email: "ada@example.com", Avatar: "https://pictures.example/a.png", Groups: []string{"players"}}
	for _, tt := range []struct {
		user   session.User
		scopes []string
		want   oauth.UserClaims
	}{
		{u, nil, oauth.UserClaims{}},
		{u, []string{"openid", "offline", "*"}, oauth.UserClaims{}},
		{u, []string{"profile"}, oauth.UserClaims{Name: "ada", Username: "ada", Picture: u.Avatar}},
		{u, []string{"email"}, oauth.UserClaims{Email: u.Email, EmailVerified: true}},
		{session.User{}, []string{"email"}, oauth.UserClaims{}},
		{u, []string{"groups"}, oauth.UserClaims{Groups: u.Groups}},
		{u, []string{"groups", "email", "profile"}, oauth.UserClaims{Name: "ada", Username: "ada", Picture: u.Avatar, Email: u.Email, EmailVerified: true, Groups: u.Groups}},
	} {
		if got := oauth.NewUserClaims(tt.user, tt.scopes); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %+v", tt.scopes, got)
		}
	}
}

func TestAClientsOwnToken(t *testing.T) {
	w := newWorld(t)
	tokens, refusal := w.ClientToken(t.Context(), w.client("2"), []string{"email"}, nil, "192.0.2.1")
	if refusal != nil {
		t.Fatal(refusal)
	}
	v, refusal := w.VerifyAccess(t.Context(), tokens.Access)
	if refusal != nil {
		t.Fatal(refusal)
	}
	if v.Client.ID != "2" || v.User.Subject != "" || v.Session != nil || v.Claims.Subject != "2" || !reflect.DeepEqual(v.Claims.Audience, []string{"server"}) || len(v.Claims.Scopes) != 0 {
		t.Errorf("the token is of %+v", v)
	}
	_, refusal = w.ClientToken(t.Context(), w.client("1"), nil, nil, "")
	wantKind(t, refusal, oauth.UnauthorizedClient)
	_, refusal = w.ClientToken(t.Context(), w.client("2"), nil, []string{"game"}, "")
	wantKind(t, refusal, oauth.InvalidRequest)
	w.client("2").Disabled = true
	_, refusal = w.VerifyAccess(t.Context(), tokens.Access)
	wantKind(t, refusal, oauth.InvalidToken)
}
