package protocol

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// A game is an OAuth client with a listener on a loopback port of its own, as
// RFC 8252 section 7.3 describes native applications.
type game struct {
	oauth2.Config
	verifier, state string
	answers         chan url.Values
}

func newGame(t *testing.T, portal, id string, scopes ...string) *game {
	t.Helper()
	g := &game{
		verifier: oauth2.GenerateVerifier(), state: oauth2.GenerateVerifier(),
		answers: make(chan url.Values, 16),
	}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" {
			http.NotFound(w, r)
			return
		}
		g.answers <- r.URL.Query()
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(listener.Close)
	g.Config = oauth2.Config{
		ClientID: id, RedirectURL: listener.URL + "/callback", Scopes: scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL: portal + "/api/oauth2/auth", TokenURL: portal + "/api/oauth2/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	return g
}

// authURL is where the game sends the browser.
func (g *game) authURL(audience string) string {
	return g.AuthCodeURL(g.state, oauth2.S256ChallengeOption(g.verifier), oauth2.SetAuthURLParam("audience", audience))
}

// code waits for the browser at the listener.
func (g *game) code(t *testing.T) string {
	t.Helper()
	select {
	case answer := <-g.answers:
		if answer.Get("state") != g.state {
			t.Fatalf("the state came back as %q", answer.Get("state"))
		}
		if answer.Get("code") == "" {
			t.Fatalf("no code came back: %v", answer)
		}
		return answer.Get("code")
	default:
		t.Fatal("the browser did not come to the listener")
		return ""
	}
}

// codeOf gets a code for a browser that is signed in already.
func (g *game) codeOf(t *testing.T, browser *harness.Client) string {
	t.Helper()
	page := browser.Open(g.authURL("game"))
	if len(g.answers) == 0 {
		t.Fatalf("the browser ended at %s with %d: %s", page.URL, page.Status, page.Body)
	}
	return g.code(t)
}

// redeem is the token request as oauth2 sends it.
func (g *game) redeem(code string) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	return g.Exchange(ctx, code, oauth2.VerifierOption(g.verifier))
}

// form is the same request for [harness.Client.Post].
func (g *game) form(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {g.ClientID}, "code": {code},
		"redirect_uri": {g.RedirectURL}, "code_verifier": {g.verifier},
	}
}
