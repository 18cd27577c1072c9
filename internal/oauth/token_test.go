package oauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func TestClass12And13ACodeIsRedeemedOnlyWithAllItsBindings(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	withoutPKCE := func(client, audience string) change {
		return func(r *oauth.AuthorizeRequest) {
			r.ClientID, r.Audience, r.CodeChallenge, r.CodeChallengeMethod = client, []string{audience}, "", ""
		}
	}
	as := func(client, verifier string) func(*oauth.CodeRequest) {
		return func(r *oauth.CodeRequest) { r.Client, r.Verifier = w.client(client), verifier }
	}
	short, long := strings.Repeat("v", 42), strings.Repeat("v", 129)
	for _, tt := range []struct {
		name  string
		issue change
		wrong func(*oauth.CodeRequest)
		right func(*oauth.CodeRequest)
		why   string
	}{
		{"another client", nil, as("4", verifier), nil, "issued to another client"},
		{"another redirect URI", nil, func(r *oauth.CodeRequest) { r.RedirectURI = "http://127.0.0.1/cb" }, nil, "issued for another redirect_uri"},
		{"no redirect URI", nil, func(r *oauth.CodeRequest) { r.RedirectURI = "" }, nil, "issued for another redirect_uri"},
		{"no verifier", nil, as("1", ""), nil, "code_verifier does not match"},
		{"another verifier", nil, as("1", strings.Repeat("w", 43)), nil, "code_verifier does not match"},
		{"the challenge itself, as plain has it", nil, as("1", oauth.Challenge(verifier)), nil, "code_verifier does not match"},
		{"a verifier that is too short", func(r *oauth.AuthorizeRequest) { r.CodeChallenge = oauth.Challenge(short) }, as("1", short), nil, "code_verifier does not match"},
		{"a verifier that is too long", func(r *oauth.AuthorizeRequest) { r.CodeChallenge = oauth.Challenge(long) }, as("1", long), nil, "code_verifier does not match"},
		{"a verifier that has other characters", func(r *oauth.AuthorizeRequest) { r.CodeChallenge = oauth.Challenge(verifier + " ") }, as("1", verifier+" "), nil, "code_verifier does not match"},
		{"a verifier where there was no challenge", withoutPKCE("4", "old"), as("4", verifier), as("4", ""), "code_verifier without code_challenge"},
		{"the same, with a secret", withoutPKCE("2", "server"), as("2", verifier), as("2", ""), "code_verifier without code_challenge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := w.code(in, tt.issue)
			w.Server.Audit.Flush()
			w.audit.TakeAll()
			for range 2 {
				_, refusal := w.redeem(code, tt.wrong)
				wantKind(t, refusal, oauth.InvalidGrant)
			}
			if lines := w.audit.TakeAll(); len(lines) != 2 || lines[0].Message != string(oauth.CodeRefused) || lines[0].ContextMap()["why"] != tt.why {
				t.Errorf("the audit log says %v", lines)
			}
			if _, refusal := w.redeem(code, tt.right); (refusal == nil) == strings.HasPrefix(tt.name, "a verifier that") {
				t.Errorf("its owner: %v", refusal)
			}
		})
	}
}

func TestClass13ACodeWithoutAChallengeIsInvalidOnceThePublicClientMustUsePKCE(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	code := w.code(in, func(r *oauth.AuthorizeRequest) {
		r.ClientID, r.Audience, r.CodeChallenge, r.CodeChallengeMethod = "4", []string{"old"}, "", ""
	})
	stricter := *w.client("4")
	stricter.AllowNoPKCE = false // as after a reload
	_, refusal := w.redeem(code, func(r *oauth.CodeRequest) { r.Client, r.Verifier = &stricter, "" })
	wantKind(t, refusal, oauth.InvalidGrant)
}

func TestVerifiersOfEveryLengthAllowed(t *testing.T) {
	w := newWorld(t)
	w.Limits.PerSession = 1000
	_, in := w.signIn(ada)
	for _, v := range []string{oauth.NewVerifier(), strings.Repeat("-._~", 11), strings.Repeat("aZ09", 32), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"} {
		code := w.code(in, func(r *oauth.AuthorizeRequest) { r.CodeChallenge = oauth.Challenge(v) })
		if _, refusal := w.redeem(code, func(r *oauth.CodeRequest) { r.Verifier = v }); refusal != nil {
			t.Errorf("%q: %v", v, refusal)
		}
	}
	// RFC 7636 appendix B
	if got := oauth.Challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("the challenge is %s", got)
	}
	if a, b := oauth.NewVerifier(), oauth.NewVerifier(); a == b || len(a) != 43 {
		t.Errorf("the verifiers are %s and %s", a, b)
	}
}

func TestClass12OnlyItsOwnClientAndRedirectURIDiscardACode(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	code, redeemed := w.code(in, nil), w.code(in, nil)
	first, refusal := w.redeem(redeemed, nil)
	if refusal != nil {
		t.Fatal(refusal)
	}
	grant := oauth.Grant{ID: first.Record.Grant, Session: in.Session.Key()}
	w.audit.TakeAll()
	discard := func(code string, change func(*oauth.CodeRequest)) {
		r := oauth.CodeRequest{Client: w.client("1"), Code: code, RedirectURI: callback, From: "192.0.2.1"}
		if change != nil {
			change(&r)
		}
		w.DiscardCode(t.Context(), r, "not requested")
	}
	discard(code, func(r *oauth.CodeRequest) { r.Client = w.client("4") })
	discard(code, func(r *oauth.CodeRequest) { r.RedirectURI = "http://127.0.0.1/cb" })
	discard(redeemed, nil)
	discard("x", nil)
	if lines := w.audit.TakeAll(); len(lines) != 0 {
		t.Errorf("the audit log says %v", lines)
	}
	discard(code, nil)
	if lines := w.audit.TakeAll(); len(lines) != 1 || lines[0].Message != string(oauth.CodeRefused) ||
		lines[0].ContextMap()["why"] != "discarded: not requested" || lines[0].ContextMap()["subject"] != ada.Subject {
		t.Errorf("the audit log says %v", lines)
	}
	if _, refusal := w.redeem(code, nil); refusal == nil || refusal.Kind != oauth.InvalidGrant {
		t.Errorf("a discarded code gave %v", refusal)
	}
	w.wantActive(grant, true)
}

func TestAReplayEndsTheGrantForItsOwnClientOnly(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	code := w.code(in, nil)
	redeemed, refusal := w.redeem(code, nil)
	if refusal != nil {
		t.Fatal(refusal)
	}
	grant := oauth.Grant{ID: redeemed.Record.Grant, Session: in.Session.Key()}
	w.wantActive(grant, true)

	_, refusal = w.redeem(code, func(r *oauth.CodeRequest) { r.Client = w.client("4") })
	wantKind(t, refusal, oauth.InvalidGrant)
	w.wantActive(grant, true)
	w.clock.Advance(oauth.RedemptionGrace + time.Second)

	w.store.Down(true) // the end could not be written, so it is not claimed
	_, refusal = w.redeem(code, nil)
	wantKind(t, refusal, oauth.Internal)
	w.store.Down(false)
	w.wantActive(grant, true)

	_, refusal = w.redeem(code, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	w.wantActive(grant, false)
	if n := w.audit.FilterMessage(string(oauth.GrantEnded)).Len(); n != 1 {
		t.Errorf("%d grants ended", n)
	}
	if n := w.audit.FilterMessage(string(oauth.CodeReused)).Len(); n != 3 {
		t.Errorf("%d replays in the audit log", n)
	}
	w.clock.Advance(oauth.TokenLifetime) // as long as any token could live
	w.wantActive(oauth.Grant{ID: grant.ID, Offline: true}, false)
}

func TestAGrantEndsWithItsSessionUnlessItIsOffline(t *testing.T) {
	w := newWorld(t)
	cookie, in := w.signIn(ada)
	bound, offline := oauth.Grant{ID: "a", Session: in.Session.Key()}, w.grantOf(w.offline(in))
	w.wantActive(bound, true)
	w.wantActive(offline, true)
	if err := w.SignOut(t.Context(), cookie, ""); err != nil {
		t.Fatal(err)
	}
	w.wantActive(bound, false)
	w.wantActive(offline, true)
	w.wantActive(oauth.Grant{ID: "c"}, false)                // of no session at all
	w.wantActive(oauth.Grant{ID: "d", Offline: true}, false) // that was never given
	if err := w.Grants.End(t.Context(), offline.ID); err != nil {
		t.Fatal(err)
	}
	w.wantActive(offline, false)

	w.store.Down(true)
	for _, g := range []oauth.Grant{bound, offline} {
		if active, err := w.Grants.Active(t.Context(), g); err == nil || active {
			t.Error("a store that is down knows that the grant is active")
		}
	}
}

func TestACodeNeedsItsSessionAndItsUser(t *testing.T) {
	for name, meanwhile := range map[string]func(w *world, cookie string){
		"signed out": func(w *world, cookie string) {
			if err := w.SignOut(w.t.Context(), cookie, ""); err != nil {
				w.t.Fatal(err)
			}
		},
		"the user is disabled or removed": func(w *world, _ string) { w.people.Remove(ada) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, in := w.signIn(ada)
			code := w.code(in, func(r *oauth.AuthorizeRequest) { r.Scope = []string{"offline"} })
			meanwhile(w, cookie)
			_, refusal := w.redeem(code, nil)
			wantKind(t, refusal, oauth.InvalidGrant)
			if n := w.audit.FilterMessage(string(oauth.CodeRedeemed)).Len(); n != 0 {
				t.Error("it was redeemed")
			}
		})
	}
}

func TestATokenHasTheCurrentDataOfTheUser(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	code := w.code(in, nil)
	now := ada
	now.Name, now.Email, now.Groups = "ada2", "new@example.com", []string{"crew"}
	w.people.Change(now)
	tokens, refusal := w.ExchangeCode(t.Context(), oauth.CodeRequest{Client: w.client("1"), Code: code, RedirectURI: callback, Verifier: verifier})
	if refusal != nil {
		t.Fatal(refusal)
	}
	payload, err := w.Keys.Verify(t.Context(), tokens.Access, keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var claims oauth.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Username != "ada2" || claims.Email != "new@example.com" || len(claims.Groups) != 1 || claims.Groups[0].Name != "crew" || !claims.Groups[0].IsDefault || claims.Subject != ada.Subject {
		t.Errorf("%+v", claims)
	}
	if tokens.ExpiresIn != time.Hour || claims.Expires-claims.IssuedAt != 3600 {
		t.Errorf("lives for %v, %d s", tokens.ExpiresIn, claims.Expires-claims.IssuedAt)
	}
}

func TestAnUnavailableSigningKeyDoesNotUseUpTheCode(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	code := w.code(in, nil)
	good := w.Keys
	w.Keys = keys.NewRing(keys.NewStoreVault(faultystore.NewFull(w.store), make([]byte, 32), nil), keys.Options{Now: w.clock.Now, Algorithms: []keys.Algorithm{keys.ES256}})
	exchange := func() *oauth.Error {
		_, refusal := w.ExchangeCode(t.Context(), oauth.CodeRequest{Client: w.client("1"), Code: code, RedirectURI: callback, Verifier: verifier})
		return refusal
	}
	wantKind(t, exchange(), oauth.Internal)
	w.Keys = good
	if refusal := exchange(); refusal != nil {
		t.Error(refusal)
	}
}

func TestAnOutageIsNotASignOut(t *testing.T) {
	w := newWorld(t)
	cookie, in := w.signIn(ada)
	code := w.code(in, nil)
	w.restart()
	w.store.Down(true)
	_, refusal := w.redeem(code, nil)
	wantKind(t, refusal, oauth.Internal)
	if refusal.RetryAfter != time.Second {
		t.Errorf("try again in %v", refusal.RetryAfter)
	}
	if _, err := w.SignedIn(t.Context(), cookie); err == nil || errors.Is(err, session.ErrNone) {
		t.Errorf("signed in: %v", err)
	}
	if err := w.SignOut(t.Context(), cookie, ""); err == nil {
		t.Error("signed out while the store was down")
	}
	w.store.Down(false)
	if _, refusal := w.redeem(code, nil); refusal != nil {
		t.Error(refusal)
	}
}

func TestCodesInAStoreKeepTheSamePromises(t *testing.T) {
	w := newWorld(t)
	w.Codes = codes.NewStored(w.store.Store, codes.Options{Now: w.clock.Now})
	_, in := w.signIn(ada)
	code := w.code(in, nil)
	_, refusal := w.redeem(code, func(r *oauth.CodeRequest) { r.Verifier = "" })
	wantKind(t, refusal, oauth.InvalidGrant)
	redeemed, refusal := w.redeem(code, nil)
	if refusal != nil {
		t.Fatal(refusal)
	}
	w.clock.Advance(oauth.RedemptionGrace + time.Second)
	_, refusal = w.redeem(code, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	w.wantActive(oauth.Grant{ID: redeemed.Record.Grant, Session: in.Session.Key()}, false)
	if r := redeemed.Record; r.Subject != ada.Subject || !slices.Equal(r.Scopes, []string{"email"}) || !slices.Equal(r.Audience, []string{"game"}) || !r.AuthTime.Equal(start) {
		t.Errorf("%+v", r)
	}
}

func TestASiteSessionIsForItsClient(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	site, err := w.Sessions.BeginSite(t.Context(), in.Session, "1", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.SignedInAtSite(t.Context(), site.Encode(), "1"); err != nil || got.User.Subject != ada.Subject {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.SignedInAtSite(t.Context(), site.Encode(), "2"); !errors.Is(err, session.ErrNone) {
		t.Errorf("at another client's: %v", err)
	}
	w.people.Remove(ada)
	if _, err := w.SignedInAtSite(t.Context(), site.Encode(), "1"); !errors.Is(err, session.ErrNone) {
		t.Errorf("a user who is gone: %v", err)
	}
}

func TestErrorsUnwrapToTheirCause(t *testing.T) {
	cause := errors.New("the disk is full")
	e := &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: cause}
	if !errors.Is(e, cause) || fmt.Sprint(e) != "Something went wrong.: the disk is full" {
		t.Error(e)
	}
	if e = (&oauth.Error{Description: "No."}); e.Error() != "No." || e.Unwrap() != nil {
		t.Error(e)
	}
}
