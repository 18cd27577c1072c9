package oauth_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// shared returns the keys of two clients with HS256.
func (w *world) shared() (six, seven *keys.SharedKey) {
	w.t.Helper()
	key := func(letter string) *keys.SharedKey {
		k, err := keys.NewSharedKey(strings.Repeat(letter, keys.MinSharedKey))
		if err != nil {
			w.t.Fatal(err)
		}
		return k
	}
	six, seven = key("6"), key("7")
	client := func(id string, k *keys.SharedKey) *oauth.Client {
		return &oauth.Client{
			ID: id, Secret: oauth.NewSecret(secret), TokenAlg: keys.HS256, HS256Key: k,
			RedirectURIs: []oauth.RedirectURI{redirectURI(w.t, callback)}, Audiences: []string{"first", "second"}, Scopes: []string{"email", "admin"},
		}
	}
	clients, err := oauth.NewClients([]*oauth.Client{client("6", six), client("7", seven)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Clients = clients
	return six, seven
}

// forged returns a token with changed claims, signed with a key.
func forged(t *testing.T, token string, by *keys.SharedKey, change map[string]any) string {
	t.Helper()
	payload, ok := keys.Unverified(token)
	if !ok {
		t.Fatal("no token of a shared key")
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	maps.Copy(claims, change)
	made, err := by.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestClass26ASharedKeyCannotForgeATokenOfAUser(t *testing.T) {
	w := newWorld(t)
	six, seven := w.shared()
	_, in := w.signIn(ada)
	a, refusal := w.Clients.CheckAuthorize(request(func(r *oauth.AuthorizeRequest) {
		r.ClientID, r.Audience, r.Scope = "6", []string{"second"}, []string{"email"}
	}))
	if refusal != nil {
		t.Fatal(refusal)
	}
	tokens, refusal := w.IssueTokens(t.Context(), a, in, "")
	if refusal != nil {
		t.Fatal(refusal)
	}
	if _, refusal := w.VerifyAccess(t.Context(), forged(t, tokens.Access, six, map[string]any{"extra": "x"})); refusal != nil {
		t.Error("the same claims beside another:", refusal)
	}
	for name, token := range map[string]string{
		"for more audiences":      forged(t, tokens.Access, six, map[string]any{"aud": []string{"first", "second"}}),
		"for its other audience":  forged(t, tokens.Access, six, map[string]any{"aud": []string{"first"}}),
		"with more scopes":        forged(t, tokens.Access, six, map[string]any{"scp": []string{"email", "admin"}}),
		"of another shared key":   forged(t, tokens.Access, seven, map[string]any{"client_id": "7"}),
		"by another client's key": forged(t, tokens.Access, seven, nil),
	} {
		_, refusal := w.VerifyAccess(t.Context(), token)
		if refusal == nil {
			t.Errorf("%s: it is accepted", name)
			continue
		}
		wantKind(t, refusal, oauth.InvalidToken)
	}
}

func TestClass26AClientsOwnTokenExpiresWithinADay(t *testing.T) {
	w := newWorld(t)
	six, _ := w.shared()
	own, refusal := w.ClientToken(t.Context(), w.client("6"), nil, nil, "")
	if refusal != nil {
		t.Fatal(refusal)
	}
	expires := func(d time.Duration) string {
		return forged(t, own.Access, six, map[string]any{"exp": w.clock.Now().Add(d).Unix()})
	}
	if _, refusal := w.VerifyAccess(t.Context(), expires(oauth.MaxTokenLifetime)); refusal != nil {
		t.Error(refusal)
	}
	_, refusal = w.VerifyAccess(t.Context(), expires(oauth.MaxTokenLifetime+time.Second))
	wantKind(t, refusal, oauth.InvalidToken)
}
