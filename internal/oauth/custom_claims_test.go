package oauth_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// claimNames returns the JSON names of a struct's fields.
func claimNames(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		if f.Anonymous {
			names = append(names, claimNames(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// With two claims of one name, some libraries use the first, and others the second.
func TestNoStandardClaimCanBeReplacedByACustomClaim(t *testing.T) {
	names := claimNames(reflect.TypeFor[oauth.Claims]())
	if len(names) < 15 || !slices.Contains(names, "license_product") {
		t.Fatalf("found only %q", names)
	}
	for _, name := range append(names, "nbf", "cnf", "act", "SUB", "Exp") {
		_, err := oauth.NewClients([]*oauth.Client{{
			ID: "1", Public: true, TokenAlg: keys.ES256, RedirectURIs: []oauth.RedirectURI{redirectURI(t, callback)},
			Claims: []oauth.CustomClaim{{Name: name, Value: "x"}},
		}})
		if err == nil || !strings.Contains(err.Error(), "claim "+name+": the name is taken") {
			t.Errorf("claim %s: %v", name, err)
		}
	}
}

func TestSharedKeysAreOnlyForAccessTokens(t *testing.T) {
	key, err := keys.NewSharedKey(strings.Repeat("k", keys.MinSharedKey))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	game := w.client("1")
	game.TokenAlg, game.HS256Key, game.TokenLifetime = keys.HS256, key, time.Minute
	if algs := w.Clients.Algorithms(); !slices.Equal(algs, []keys.Algorithm{keys.ES256, keys.RS256}) {
		t.Errorf("the portal has keys for %q", algs)
	}
	w.Keys = keys.NewRing(keystest.NewVault(), keys.Options{Now: w.clock.Now, Algorithms: w.Clients.Algorithms()})
	_, in := w.signIn(ada)
	tokens, refusal := w.IssueTokens(t.Context(), &oauth.Authorization{Client: game, Scopes: []string{"openid"}, Audience: []string{"game"}}, in, "")
	if refusal != nil {
		t.Fatal(refusal)
	}
	if _, err := key.Verify(tokens.Access); err != nil {
		t.Errorf("the access token: %v", err)
	}
	payload, err := w.Keys.Verify(t.Context(), tokens.ID, keys.RS256)
	var claims oauth.IDClaims
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expires-claims.IssuedAt != 60 {
		t.Errorf("the ID token says %s: %v", payload, err)
	}
	if v, refusal := w.VerifyAccess(t.Context(), tokens.Access); refusal != nil || v.Client != game || tokens.ExpiresIn != time.Minute {
		t.Errorf("verified as %+v: %v", v, refusal)
	}
	// The client has another key now.
	if game.HS256Key, err = keys.NewSharedKey(strings.Repeat("n", keys.MinSharedKey)); err != nil {
		t.Fatal(err)
	}
	_, refusal = w.VerifyAccess(t.Context(), tokens.Access)
	wantKind(t, refusal, oauth.InvalidToken)
}

// With an unknown ID, the claim would be the same for all such users.
func TestAClaimWithAnUnknownIDIsLeftOut(t *testing.T) {
	w := newWorld(t)
	game := w.client("1")
	game.Claims = []oauth.CustomClaim{{Name: "player", Value: "steam-{user.id}"}, {Name: "greeting", Value: "hello {user.name}"}}
	for id, want := range map[string]any{"": nil, "17": "steam-17"} {
		user := ada
		user.ProviderID = id
		_, in := w.signIn(user)
		tokens, refusal := w.IssueTokens(t.Context(), &oauth.Authorization{Client: game, Audience: []string{"game"}}, in, "")
		if refusal != nil {
			t.Fatal(refusal)
		}
		payload, err := w.Keys.Verify(t.Context(), tokens.Access, w.Clients.Algorithms()...)
		var claims map[string]any
		if err != nil || json.Unmarshal(payload, &claims) != nil || claims["player"] != want || claims["greeting"] != "hello "+ada.Name {
			t.Errorf("ID %q: %s: %v", id, payload, err)
		}
	}
}
