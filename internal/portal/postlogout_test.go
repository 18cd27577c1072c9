package portal_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

func TestASignOutThatAnApplicationAskedForLeadsBackToItOnceDone(t *testing.T) {
	f := newFixture(t)
	client, _ := f.hosted.Server.Clients.Get("1")
	for _, raw := range []string{"https://game.example/bye?x=1", "game:bye"} {
		uri, err := oauth.ParsePostLogoutRedirectURI(raw)
		if err != nil {
			t.Fatal(err)
		}
		client.PostLogoutRedirectURIs = append(client.PostLogoutRedirectURIs, uri)
	}
	for uri, back := range map[string]string{
		"https://game.example/bye?x=1":          "https://game.example/bye?x=1&state=a%20b",
		"game:bye":                              "game:bye?state=a%20b",
		"https://game.example/bye":              "",
		"https://game.example/oauth2/callback":  "",
		"https://game.example.evil.example/bye": "",
		"":                                      "",
	} {
		b := f.visitor()
		b.try("demo", "demo password")
		path := portal.SignOutPath + "?" + url.Values{"client_id": {"1"}, "post_logout_redirect_uri": {uri}, "state": {"a b"}}.Encode()
		if w := b.open(path); leadsTo(w) != "" || b.session() == "" {
			t.Errorf("%q: it does not ask", uri)
		}
		w := b.do("POST", path, nil, sameOrigin...)
		want(t, w, http.StatusOK)
		if got := leadsTo(w); got != back {
			t.Errorf("%q: leads to %q, want %q", uri, got, back)
		}
		if b.session() != "" {
			t.Errorf("%q: the session goes on", uri)
		}
	}
}
