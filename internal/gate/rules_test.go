package gate

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/session"
)

const annsSubject = "5b1f0c7e-2b7a-4d1e-9a3c-0d9f6c1e7a11"

func mustRule(t testing.TB, kind Kind, claim string, values ...string) Rule {
	t.Helper()
	r, err := NewRule(kind, claim, values)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// local is a user of the Caddyfile, google one of a provider.
func local(change func(*session.User)) session.User {
	u := session.User{Subject: annsSubject, Name: "ann", Email: "ann@studio.example", Groups: []string{"staff"}, Signin: "local"}
	if change != nil {
		change(&u)
	}
	return u
}

func google(change func(*session.User)) session.User {
	return local(func(u *session.User) {
		u.Signin, u.ProviderID = "google", "1076"
		u.Claims = session.Claims{}.With("department", "engineering", "games").With(session.ClaimEmail)
		if change != nil {
			change(u)
		}
	})
}

func TestEachKindOfRule(t *testing.T) {
	for _, c := range []struct {
		kind    Kind
		claim   string
		values  []string
		user    session.User
		require bool // may pass with the rule after require
		deny    bool // may pass with the rule after deny
	}{
		{KindUser, "", []string{"ann"}, local(nil), true, false},
		{KindUser, "", []string{"ANN"}, local(nil), true, false},
		{KindUser, "", []string{"bob", "ann"}, local(nil), true, false},
		{KindUser, "", []string{"bob"}, local(nil), false, true},
		{KindUser, "", []string{"ann"}, google(nil), false, true}, // names of a provider are not unique
		{KindUser, "", []string{annsSubject}, local(nil), true, false},
		{KindUser, "", []string{strings.ToUpper(annsSubject)}, google(nil), true, false},
		{KindUser, "", []string{"ann"}, google(func(u *session.User) { u.Linked = "local" }), true, false},
		{KindUser, "", []string{"ann"}, local(func(u *session.User) { u.Linked = "google" }), false, true},

		{KindGroup, "", []string{"staff"}, local(nil), true, false},
		{KindGroup, "", []string{"Staff"}, local(nil), false, true},
		{KindGroup, "", []string{"admins", "staff"}, google(nil), true, false},
		{KindGroup, "", []string{"admins"}, google(nil), false, true},
		{KindGroup, "", []string{"admins"}, google(func(u *session.User) { u.Claims = u.Claims.Without(session.ClaimGroups) }), false, false},
		{KindGroup, "", []string{"admins"}, google(func(u *session.User) { u.Linked, u.Claims = "local", u.Claims.Without(session.ClaimGroups) }), false, true},
		{KindGroup, "", []string{"staff"}, google(func(u *session.User) { u.Claims = u.Claims.Without(session.ClaimGroups) }), true, false},

		{KindEmail, "", []string{"ann@studio.example"}, google(nil), true, false},
		{KindEmail, "", []string{"Ann@Studio.Example"}, google(nil), true, false},
		{KindEmail, "", []string{"ann@studio.example"}, google(func(u *session.User) { u.Email = "ANN@STUDIO.EXAMPLE." }), true, false},
		{KindEmail, "", []string{"ann@studio.example"}, google(func(u *session.User) { u.Email = "ann@studio.example.evil.example" }), false, true},
		{KindEmail, "", []string{"kim@studio.example"}, google(func(u *session.User) { u.Email = "\u212aim@studio.example" }), false, true}, // the Kelvin sign
		{KindEmail, "", []string{"ann@bücher.example"}, google(func(u *session.User) { u.Email = "ann@xn--bcher-kva.example" }), true, false},
		{KindEmail, "", []string{"ann@xn--bcher-kva.example"}, google(func(u *session.User) { u.Email = "ann@BÜCHER.example" }), true, false},
		{KindEmail, "", []string{"ann@studio.example"}, google(unverified("ann@studio.example")), false, false},
		{KindEmail, "", []string{"ann@studio.example"}, google(unverified("bob@studio.example")), false, true},
		{KindEmail, "", []string{"ann@studio.example"}, google(func(u *session.User) { u.Email = "" }), false, true},
		{KindEmail, "", []string{"ann@studio.example"}, google(func(u *session.User) { u.Email, u.Claims = "", u.Claims.Without(session.ClaimEmail) }), false, false},
		{KindEmail, "", []string{"ann@studio.example"}, google(func(u *session.User) { u.Email, u.Claims = "", session.Claims{} }), false, false},
		{KindEmail, "", []string{"ann@studio.example"}, google(func(u *session.User) {
			u.Email, u.Claims = "", u.Claims.With(session.ClaimEmail, "bob@studio.example", "ann@studio.example")
		}), false, false},
		{KindEmail, "", []string{"ann@studio.example"}, google(unverified("no address")), false, false},
		{KindEmailDomain, "", []string{"studio.example"}, google(unverified("ann@studio.example@other.example")), false, false},
		{KindEmail, "", []string{"ann@studio.example"}, local(func(u *session.User) { u.Email = "" }), false, true},

		{KindEmailDomain, "", []string{"studio.example"}, google(nil), true, false},
		{KindEmailDomain, "", []string{"STUDIO.example"}, google(nil), true, false},
		{KindEmailDomain, "", []string{"example"}, google(nil), false, true},
		{KindEmailDomain, "", []string{"studio.example"}, google(func(u *session.User) { u.Email = "ann@sub.studio.example" }), false, true},
		{KindEmailDomain, "", []string{"studio.example"}, google(func(u *session.User) { u.Email = "ann@notstudio.example" }), false, true},
		{KindEmailDomain, "", []string{"studio.example"}, google(unverified("ann@studio.example")), false, false},
		{KindEmailDomain, "", []string{"bücher.example"}, google(unverified("ann@bücher。example")), false, false}, // an ideographic full stop

		{KindClaim, "department", []string{"engineering"}, google(nil), true, false},
		{KindClaim, "department", []string{"art", "games"}, google(nil), true, false},
		{KindClaim, "department", []string{"Engineering"}, google(nil), false, true},
		{KindClaim, "roles", []string{"admin"}, google(nil), false, false}, // never asked for
		{KindClaim, "roles", []string{"admin"}, google(func(u *session.User) { u.Claims = u.Claims.Without("roles") }), false, false},
		{KindClaim, "roles", []string{"admin"}, google(func(u *session.User) { u.Claims = u.Claims.With("roles") }), false, true},
		{KindClaim, "roles", []string{"admin"}, google(func(u *session.User) { u.Claims = u.Claims.With("roles", strings.Repeat("x", 5000)) }), false, false},
		{KindClaim, "roles", []string{"admin"}, local(nil), false, true}, // local users have no claims

		{KindSignin, "", []string{"google", "acme"}, google(nil), true, false},
		{KindSignin, "", []string{"google"}, local(nil), false, true},
		{KindSignin, "", []string{"local"}, google(func(u *session.User) { u.Linked = "local" }), false, true},
	} {
		rule := mustRule(t, c.kind, c.claim, c.values...)
		require := Rules{Require: []Rule{rule}, Local: []string{"local"}}
		anyOf := Rules{RequireAny: [][]Rule{{mustRule(t, KindUser, "", "nobody"), rule}}, Local: require.Local}
		deny := Rules{Deny: []Rule{rule}, Local: require.Local}
		for name, r := range map[string]struct {
			rules *Rules
			want  bool
		}{"require": {&require, c.require}, "require any": {&anyOf, c.require}, "deny": {&deny, c.deny}} {
			if got := r.rules.allow(&c.user); got != r.want {
				t.Errorf("%s %s: %+v may pass: %v", name, rule.String(), c.user, got)
			}
			if reason := r.rules.reason(&c.user); (reason == "") != r.want {
				t.Errorf("%s %s: the reason for %+v is %q", name, rule.String(), c.user, reason)
			}
		}
	}
}

func unverified(email string) func(*session.User) {
	return func(u *session.User) { u.Email, u.Claims = "", u.Claims.With(session.ClaimEmail, email) }
}

func TestRulesTogether(t *testing.T) {
	staff, admins := mustRule(t, KindGroup, "", "staff"), mustRule(t, KindGroup, "", "admins")
	domain, other := mustRule(t, KindEmailDomain, "", "studio.example"), mustRule(t, KindEmailDomain, "", "other.example")
	ann := mustRule(t, KindUser, "", "ann")
	user := local(nil)
	for name, c := range map[string]struct {
		rules Rules
		want  bool
	}{
		"none":                                   {Rules{}, true},
		"two that hold":                          {Rules{Require: []Rule{staff, domain}}, true},
		"one of two holds":                       {Rules{Require: []Rule{staff, other}}, false},
		"one kind is one list":                   {Rules{Require: Merge([]Rule{other}, domain)}, true},
		"two sets that hold":                     {Rules{RequireAny: [][]Rule{{admins, domain}, {staff}}}, true},
		"one of two sets holds":                  {Rules{RequireAny: [][]Rule{{admins, domain}, {other}}}, false},
		"deny comes before all":                  {Rules{Require: []Rule{staff}, RequireAny: [][]Rule{{staff}}, Deny: []Rule{ann}}, false},
		"deny another":                           {Rules{Require: []Rule{staff}, Deny: []Rule{admins, other}}, true},
		"a set of nothing lets nobody pass":      {Rules{RequireAny: [][]Rule{{}}}, false},
		"a rule of no kind lets nobody pass":     {Rules{Require: []Rule{{}}}, false},
		"a rule of no kind that denies, does so": {Rules{Deny: []Rule{{}}}, false},
	} {
		c.rules.Local = []string{"local"}
		if got := c.rules.allow(&user); got != c.want {
			t.Errorf("%s: may pass: %v, because %q", name, got, c.rules.reason(&user))
		}
	}
}

func TestRulesAllocateNothing(t *testing.T) {
	rules := Rules{
		Require:    []Rule{mustRule(t, KindGroup, "", "admins", "staff"), mustRule(t, KindEmailDomain, "", "studio.example"), mustRule(t, KindSignin, "", "google")},
		RequireAny: [][]Rule{{mustRule(t, KindEmail, "", "bob@partner.example"), mustRule(t, KindUser, "", "carol"), mustRule(t, KindClaim, "department", "engineering")}},
		Deny:       []Rule{mustRule(t, KindUser, "", "mallory"), mustRule(t, KindEmail, "", "eve@studio.example")},
		Local:      []string{"local"},
	}
	user := google(nil)
	if n := testing.AllocsPerRun(100, func() {
		if !rules.allow(&user) {
			t.Error(rules.reason(&user))
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRulesThatCannotBeAreRefused(t *testing.T) {
	for _, c := range []struct {
		kind   Kind
		claim  string
		values []string
	}{
		{KindUser, "", nil},
		{KindUser, "", []string{""}},
		{KindUser, "", []string{"ann\x00"}},
		{KindUser, "", []string{"a b"}},
		{KindEmail, "", []string{"studio.example"}},
		{KindEmail, "", []string{"a@b@c"}},
		{KindEmail, "", []string{"@studio.example"}},
		{KindEmailDomain, "", []string{"@studio.example"}},
		{KindEmailDomain, "", []string{"*.studio.example"}},
		{KindEmailDomain, "", []string{"ann@studio.example"}},
		{KindEmailDomain, "", []string{"."}},
		{KindClaim, "", []string{"x"}},
		{KindClaim, "email", []string{"x@y.example"}},
		{KindClaim, "groups", []string{"x"}},
		{KindClaim, "a\x01b", []string{"x"}},
		{KindClaim, strings.Repeat("n", session.MaxClaimName+1), []string{"x"}},
		{"color", "", []string{"blue"}},
	} {
		if r, err := NewRule(c.kind, c.claim, c.values); err == nil {
			t.Errorf("%s %q %q became %s", c.kind, c.claim, c.values, r.String())
		}
	}
}

// Whatever an address looks like, an address that a rule denies in one spelling is
// denied in another, and none that differs is allowed.
func FuzzEmailsAreCompared(f *testing.F) {
	for _, seed := range []string{"ann@studio.example", "ANN@Studio.Example.", "ann@bücher.example", "ann@xn--bcher-kva.example", "\u212aim@a.example", "a@b@c", "@", "a@.", ""} {
		f.Add(seed)
	}
	rule := mustRule(f, KindEmail, "", "ann@studio.example", "ann@bücher.example")
	f.Fuzz(func(t *testing.T, email string) {
		has, known := rule.matchesEmail(email)
		if has && !known {
			t.Errorf("%q matches, and cannot be compared", email)
		}
		upper, upperKnown := rule.matchesEmail(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}, strings.ToValidUTF8(email, "")))
		if strings.ToValidUTF8(email, "") == email && (has != upper || known != upperKnown) {
			t.Errorf("%q is %v, %v, and in upper case %v, %v", email, has, known, upper, upperKnown)
		}
		if has && !strings.Contains(strings.ToLower(email), "ann@") {
			t.Errorf("%q matches", email)
		}
	})
}
