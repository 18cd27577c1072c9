package oauth_test

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func TestAClientAcceptsOnlyTheSignInMethodsThatItNames(t *testing.T) {
	w := newWorld(t)
	guest := session.User{Subject: "0a7a3f9c-54b0-4f0a-8d6e-1f2d3c4b5a69", Name: "guest", Signin: "customer"}
	own := ada
	own.Signin = "local"
	_, theirs := w.signIn(guest)
	_, ours := w.signIn(own)
	earlier := w.offline(theirs) // while all sign-in methods were allowed

	w.client("1").Methods = []string{"local"}
	a, refusal := w.Clients.CheckAuthorize(request(nil))
	if refusal != nil {
		t.Fatal(refusal)
	}
	if a.Accepts(theirs) || !a.Accepts(ours) {
		t.Error("the request accepts the wrong session")
	}
	_, refusal = w.IssueCode(t.Context(), a, theirs, "")
	wantKind(t, refusal, oauth.LoginRequired)
	if _, refusal = w.IssueCode(t.Context(), a, ours, ""); refusal != nil {
		t.Error(refusal)
	}
	open, refusal := w.CheckOpenID(t.Context(), oauth.OpenIDRequest{
		ResponseType: "code", ClientID: "1", RedirectURI: callback, Scope: []string{"openid"},
		CodeChallenge: oauth.Challenge(verifier), CodeChallengeMethod: "S256",
	})
	if refusal != nil || open.Accepts(theirs) || !open.Accepts(ours) {
		t.Errorf("OpenID Connect accepts the wrong session (%v)", refusal)
	}
	open.Token = true
	_, refusal = w.IssueTokens(t.Context(), open, theirs, "")
	wantKind(t, refusal, oauth.LoginRequired)
	_, refusal = w.refresh(earlier.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	_, refusal = w.VerifyAccess(t.Context(), earlier.Access)
	wantKind(t, refusal, oauth.InvalidToken)
}
