package caddymodule

import (
	"slices"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// password and outside are sign-in methods that only have an ID.
type password string

func (w password) ID() string                                  { return string(w) }
func (w password) Current(u session.User) (session.User, bool) { return u, true }

type outside struct {
	signin.ProviderMethod
	id string
}

func (w outside) ID() string { return w.id }

func TestCustomersProvidersCountForTheirProductsAlone(t *testing.T) {
	customers := func(ids ...string) *LicenseConfig {
		return &LicenseConfig{CustomerAccounts: []*CustomerAccountConfig{{Code: "acme", Signin: ids}}}
	}
	local, acme, social := password("local"), outside{id: "acme"}, outside{id: "social"}
	for name, test := range map[string]struct {
		license *LicenseConfig
		methods methods.List
		named   []string
		want    []string
	}{
		"no License API":                     {nil, methods.List{local, acme}, nil, nil},
		"a customer's provider":              {customers("acme"), methods.List{local, acme, social}, nil, []string{"local", "social"}},
		"a customer who signs in locally":    {customers("local"), methods.List{local, social}, nil, nil},
		"the client names the provider":      {customers("acme"), methods.List{local, acme}, []string{"acme"}, []string{"acme"}},
		"there is nobody but customers":      {customers("acme"), methods.List{acme}, nil, []string{noMethodID}},
		"the client names fewer than it may": {nil, methods.List{local, acme}, []string{"local"}, []string{"local"}},
	} {
		t.Run(name, func(t *testing.T) {
			uri, err := oauth.ParseRedirectURI("https://game.example/cb")
			if err != nil {
				t.Fatal(err)
			}
			client := &oauth.Client{ID: "1", Public: true, TokenAlg: "ES256", RedirectURIs: []oauth.RedirectURI{uri}}
			clients, err := oauth.NewClients([]*oauth.Client{client})
			if err != nil {
				t.Fatal(err)
			}
			a := &App{License: test.license, methods: test.methods, clients: clients, Clients: []*ClientConfig{{ID: "1", Signin: test.named}}}
			if err := a.checkReferences(a.hasMethod); err != nil {
				t.Fatal(err)
			}
			a.loadClientMethods()
			if !slices.Equal(client.Methods, test.want) {
				t.Errorf("methods %q, want %q", client.Methods, test.want)
			}
		})
	}
}
