package oauth_test

import (
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// Pairs of names whose hashes have the same low 31 bits.
const (
	shared      = "team-36822"
	sharedToo   = "testers-18759"
	highPlayers = "ptattrm" // as "players", whose own hash has the 32nd bit
	zero        = "ppkttia" // hash 0
	zeroHigh    = "afjtjzd" // hash 1<<31
)

func TestAGroupHasTheLow31BitsOfItsHash(t *testing.T) {
	for _, name := range []string{"players", "admins", "crew", "", "é", shared, sharedToo, highPlayers} {
		h := fnv.New32a()
		h.Write([]byte(name))
		got, hash := oauth.GroupID(name), h.Sum32()
		if got > math.MaxInt32 || got == 0 || got != hash&math.MaxInt32 {
			t.Errorf("%q has %d, and the hash %d", name, got, hash)
		}
	}
	if oauth.GroupID("players") != 688827913 || oauth.GroupID("admins") != 2116920357 { // the hash of admins has no 32nd bit
		t.Error("players and admins have other numbers")
	}
	if oauth.GroupID(zero) != 1 || oauth.GroupID(zeroHigh) != 1 {
		t.Error("0 has not become 1")
	}
}

func TestConfiguredGroupsWithOneNumberAreRefused(t *testing.T) {
	for _, pair := range [][2]string{{shared, sharedToo}, {"players", highPlayers}, {zero, zeroHigh}} {
		var groups oauth.ConfiguredGroups
		if err := groups.Add(pair[0], `user "ada"`); err != nil {
			t.Fatal(err)
		}
		if err := groups.Add(pair[0], "a gate"); err != nil {
			t.Errorf("a group that is named twice: %v", err)
		}
		err := groups.Add(pair[1], "the gate of client 2")
		for _, want := range []string{pair[0], pair[1], `user "ada"`, "the gate of client 2", "rename one"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in: %v", want, err)
			}
		}
	}
}

// everybody accepts each user unchanged.
type everybody struct{}

func (everybody) Current(u session.User) (session.User, bool) { return u, u.Subject != "gone" }

func TestAGroupWithTheNumberOfAnotherGroupIsDropped(t *testing.T) {
	core, log := observer.New(zapcore.DebugLevel)
	var configured oauth.ConfiguredGroups
	if err := configured.Add("players", "a gate"); err != nil {
		t.Fatal(err)
	}
	users := configured.Distinct(everybody{}, zap.New(core))
	many := make([]string, 0, 41)
	for i := range 40 {
		many = append(many, strings.Repeat("g", i+1))
	}
	for name, tt := range map[string]struct{ groups, want []string }{
		"none":                              {nil, nil},
		"none collides":                     {[]string{"crew", "players"}, []string{"crew", "players"}},
		"one is repeated":                   {[]string{"crew", "crew"}, []string{"crew", "crew"}},
		"the number of a configured one":    {[]string{highPlayers, "crew"}, []string{"crew"}},
		"and beside it":                     {[]string{"crew", highPlayers, "players"}, []string{"crew", "players"}}, // within the minute
		"two that no setting names":         {[]string{shared, "crew", sharedToo}, []string{shared, "crew"}},
		"of many":                           {append(slices.Clone(many), shared, sharedToo), append(slices.Clone(many), shared)},
		"what is alone has a number to use": {[]string{sharedToo}, []string{sharedToo}},
	} {
		before := slices.Clone(tt.groups)
		u, may := users.Current(session.User{Subject: "7", Signin: "studio", Groups: tt.groups})
		if !may || !slices.Equal(u.Groups, tt.want) {
			t.Errorf("%s: %q, want %q", name, u.Groups, tt.want)
		}
		if !slices.Equal(tt.groups, before) {
			t.Errorf("%s: the user's own list was changed", name)
		}
	}
	lines := log.TakeAll()
	if len(lines) != 2 { // of each reason one a minute
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for _, line := range lines {
		if fields := line.ContextMap(); fields["signin"] != "studio" || fields["subject"] != "7" || !strings.Contains(fields["error"].(string), "rename one") {
			t.Errorf("%s %v", line.Message, fields)
		}
	}
	if _, may := users.Current(session.User{Subject: "gone", Groups: []string{highPlayers}}); may {
		t.Error("someone who is gone is there")
	}
}

func TestLookingForCollisionsAllocatesNothing(t *testing.T) {
	users := new(oauth.ConfiguredGroups).Distinct(everybody{}, zap.NewNop())
	u := session.User{Subject: "7", Groups: []string{"players", "crew", "admins"}}
	if n := testing.AllocsPerRun(100, func() { users.Current(u) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
