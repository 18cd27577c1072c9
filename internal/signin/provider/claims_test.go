package provider_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

func TestClass20OnlyAVerifiedAddressWithOneAtCounts(t *testing.T) {
	type claims = map[string]any
	for name, c := range map[string]struct {
		claims claims
		email  string
	}{
		"verified":               {claims{"email": "ann@acme.example", "email_verified": true}, "ann@acme.example"},
		"verified, as text":      {claims{"email": "ann@acme.example", "email_verified": "true"}, "ann@acme.example"},
		"verified, as a number":  {claims{"email": "ann@acme.example", "email_verified": 1}, "ann@acme.example"},
		"not verified":           {claims{"email": "ann@acme.example", "email_verified": false}, ""},
		"not verified, as text":  {claims{"email": "ann@acme.example", "email_verified": "false"}, ""},
		"it does not say":        {claims{"email": "ann@acme.example"}, ""},
		"it says something else": {claims{"email": "ann@acme.example", "email_verified": []string{"true"}}, ""},
		"two @":                  {claims{"email": "ann@evil.example@acme.example", "email_verified": true}, ""},
		"no @":                   {claims{"email": "acme.example", "email_verified": true}, ""},
		"a line break":           {claims{"email": "ann@acme.example\r\nX: y", "email_verified": true}, ""},
		"a comment":              {claims{"email": "ann(x)@acme.example", "email_verified": true}, ""},
		"without end":            {claims{"email": strings.Repeat("x", 300) + "@acme.example", "email_verified": true}, ""},
		"a list":                 {claims{"email": []string{"ann@acme.example"}, "email_verified": true}, ""},
	} {
		f := providertest.New(t)
		f.Claims = c.claims
		u, err := f.Method().Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
		if err != nil {
			t.Fatal(err)
		}
		if u.Email != c.email {
			t.Errorf("%s: e-mail %q", name, u.Email)
		}
	}
}

func TestClaimsBecomeAUser(t *testing.T) {
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprint("group-", i)
	}
	wide := make([]string, 100)
	for i := range wide {
		wide[i] = fmt.Sprintf("%0200d", i)
	}
	for name, c := range map[string]struct {
		claims map[string]any
		want   session.User
	}{
		"all of it": {
			map[string]any{"preferred_username": " Ann ", "groups": []string{"players", "staff"}, "picture": "https://acme.example/ann.png"},
			session.User{Name: "Ann", Groups: []string{"players", "staff"}, Avatar: "https://acme.example/ann.png"},
		},
		"nothing": {nil, session.User{Name: "ann-at-acme"}},
		"no name, but an address": {
			map[string]any{"email": "ann@acme.example", "email_verified": true}, session.User{Name: "ann@acme.example", Email: "ann@acme.example"},
		},
		"no name, and an address that does not count": {map[string]any{"email": "ann@acme.example"}, session.User{Name: "ann-at-acme"}},
		"a name with a line break":                    {map[string]any{"preferred_username": "Ann\nRoot"}, session.User{Name: "ann-at-acme"}},
		"a name without end":                          {map[string]any{"preferred_username": strings.Repeat("x", 300)}, session.User{Name: "ann-at-acme"}},
		"a name of spaces":                            {map[string]any{"preferred_username": "  "}, session.User{Name: "ann-at-acme"}},
		"a name that is none":                         {map[string]any{"preferred_username": map[string]any{"x": 1}}, session.User{Name: "ann-at-acme"}},
		"the only group":                              {map[string]any{"groups": "players"}, session.User{Name: "ann-at-acme", Groups: []string{"players"}}},
		"groups that are none": {
			map[string]any{"groups": []any{"players", "", 1, nil, "a\nb", "players", strings.Repeat("x", 300), []string{"y"}}},
			session.User{Name: "ann-at-acme", Groups: []string{"players"}},
		},
		"too many groups":      {map[string]any{"groups": many}, session.User{Name: "ann-at-acme", Groups: many[:userinfo.MaxGroups]}},
		"too much of groups":   {map[string]any{"groups": wide}, session.User{Name: "ann-at-acme", Groups: wide[:userinfo.MaxAllGroups/200]}},
		"a picture by http":    {map[string]any{"picture": "http://acme.example/ann.png"}, session.User{Name: "ann-at-acme"}},
		"a picture of script":  {map[string]any{"picture": "javascript:alert(1)"}, session.User{Name: "ann-at-acme"}},
		"a picture, inline":    {map[string]any{"picture": "data:image/png;base64,AAAA"}, session.User{Name: "ann-at-acme"}},
		"a picture with a key": {map[string]any{"picture": "https://ann:x@acme.example/"}, session.User{Name: "ann-at-acme"}},
		"a picture, too long":  {map[string]any{"picture": "https://acme.example/" + strings.Repeat("x", userinfo.MaxAvatar)}, session.User{Name: "ann-at-acme"}},
	} {
		f := providertest.New(t)
		f.Claims = c.claims
		u, err := f.Method().Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
		if err != nil {
			t.Fatal(err)
		}
		c.want.Subject, c.want.Signin = subjects.Derive("oidc", f.Server.URL+"\x00ann-at-acme"), "acme"
		if u.Name != c.want.Name || u.Email != c.want.Email || u.Avatar != c.want.Avatar || u.Subject != c.want.Subject || u.Signin != "acme" || u.ProviderID != "ann-at-acme" || !slices.Equal(u.Groups, c.want.Groups) {
			t.Errorf("%s: %.300v", name, fmt.Sprintf("%+v", u))
		}
	}
}

func TestASubjectBelongsToOneUserOfOneIssuer(t *testing.T) {
	seen := map[string]string{}
	for _, who := range [][2]string{{"https://a.example", "1"}, {"https://a.example", "11"}, {"https://a.example/1", "1"}, {"https://b.example", "1"}} {
		p, err := provider.New(provider.Options{ID: "x", Issuer: who[0], ClientID: "x"})
		if err != nil {
			t.Fatal(err)
		}
		subject := p.UserOf(who[1], nil).Subject
		if other := seen[subject]; other != "" || len(subject) != 36 || subject[14] != '5' {
			t.Errorf("%v has subject %s, as has %s", who, subject, other)
		}
		seen[subject] = fmt.Sprint(who)
		if again := p.UserOf(who[1], map[string]any{"preferred_username": "other"}).Subject; again != subject {
			t.Errorf("%v has two subjects", who)
		}
	}
	if local := subjects.Derive("local", "oidc"); seen[local] != "" {
		t.Error("a local user has the subject of another")
	}
}

func TestTheUserinfoEndpointIsAskedOnlyForWhatIsMissing(t *testing.T) {
	full := map[string]any{
		"preferred_username": "Ann", "email": "ann@acme.example", "email_verified": true, "groups": []string{"players"}, "picture": "https://acme.example/a.png",
	}
	without := func(names ...string) map[string]any {
		left := map[string]any{}
		for name, v := range full {
			if !slices.Contains(names, name) {
				left[name] = v
			}
		}
		return left
	}
	for name, c := range map[string]struct {
		token, userinfo map[string]any
		asked           int
		email           string
		err             error
	}{
		"nothing is missing":            {token: full, email: "ann@acme.example"},
		"the name is":                   {token: without("preferred_username"), userinfo: full, asked: 1, email: "ann@acme.example"},
		"all is":                        {userinfo: full, asked: 1, email: "ann@acme.example"},
		"another's":                     {userinfo: map[string]any{"sub": "bob-at-acme"}, asked: 1, err: signin.ErrAnswer},
		"nobody's":                      {userinfo: map[string]any{"sub": nil}, asked: 1, err: signin.ErrAnswer},
		"whether the address counts is": {token: without("email_verified"), userinfo: full, asked: 1, email: "ann@acme.example"},
		// What one place verified is not what the other says.
		"an address from one place, verified at the other": {
			token: without("email_verified"), userinfo: map[string]any{"email": "bob@acme.example", "email_verified": true}, asked: 1, email: "bob@acme.example",
		},
		"an address verified nowhere":                   {token: without("email_verified"), userinfo: map[string]any{"email_verified": true}, asked: 1, email: ""},
		"what the token says is not written over there": {token: without("picture"), userinfo: map[string]any{"email": "bob@acme.example"}, asked: 1, email: "ann@acme.example"},
	} {
		f := providertest.New(t)
		f.Claims, f.Userinfo = c.token, c.userinfo
		u, err := f.Method().Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
		if !errors.Is(err, c.err) || u.Email != c.email || f.Times("/userinfo") != c.asked {
			t.Errorf("%s: %v, %+v, asked %d times", name, err, u, f.Times("/userinfo"))
		}
	}
	f := providertest.New(t)
	f.Metadata = map[string]any{"userinfo_endpoint": nil}
	if _, err := f.Method().Finish(t.Context(), providertest.Request, providertest.GoodAnswer); err != nil {
		t.Errorf("without the endpoint: %v", err)
	}
}

func TestClaimsMayHaveOtherNames(t *testing.T) {
	f := providertest.New(t)
	f.Claims = map[string]any{
		"upn": "Ann", "mail": "ann@acme.example", "xms_edov": true, "roles": []string{"players"}, "photo": "https://acme.example/a.png",
		"preferred_username": "x", "email": "x@evil.example", "email_verified": true, "groups": []string{"x"}, "picture": "https://evil.example/",
	}
	u, err := f.Method(func(o *provider.Options) {
		o.Claims = provider.Claims{Username: "upn", Email: "mail", EmailVerified: "xms_edov", Groups: "roles", Avatar: "photo"}
	}).Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
	if err != nil || u.Name != "Ann" || u.Email != "ann@acme.example" || !slices.Equal(u.Groups, []string{"players"}) || u.Avatar != "https://acme.example/a.png" {
		t.Errorf("%+v, %v", u, err)
	}
	u, err = f.Method(func(o *provider.Options) { o.Claims = provider.Claims{} }).Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
	if err != nil || u.Groups != nil {
		t.Errorf("groups %q that nobody asked for, %v", u.Groups, err)
	}
}
