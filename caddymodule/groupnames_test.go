package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// The hashes of ptattrm and players have the same low 31 bits, as have those of
// team-36822 and testers-18759.
const likePlayers = "ptattrm"

// groupClaims are the groups of a token, or of the user that it is of.
type groupClaims struct {
	Groups []struct {
		ID   int32  `json:"id"`
		Name string `json:"name"`
	} `json:"groups"`
}

func (c groupClaims) names() (names []string) {
	for _, g := range c.Groups {
		names = append(names, g.Name)
	}
	return names
}

func groupsIn(t *testing.T, raw []byte) groupClaims {
	t.Helper()
	var c groupClaims
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return c
}

// wantGroups holds that a user is in these groups wherever one looks: at a gate, in
// a token of the Login API, and at users/me.
func (v *visitor) wantGroups(name string, want ...string) {
	v.t.Helper()
	got := v.submit(v.get("http://"+v.site+"/"), name, "demo")
	if got.body != strings.Join(want, ",") {
		v.t.Errorf("the gate says %s: %q, want %q", got.Status, got.body, want)
	}
	token := v.tokensOf(name, "demo").Access
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		v.t.Fatal(err)
	}
	r := v.request(http.MethodGet, "http://"+v.portal+"/api/users/me", "")
	r.Header.Set("Authorization", "Bearer "+token)
	for place, raw := range map[string][]byte{"the token": payload, "users/me": []byte(v.send(r).body)} {
		if names := groupsIn(v.t, raw).names(); !slices.Equal(names, want) {
			v.t.Errorf("%s has %q, want %q", place, names, want)
		}
	}
}

// A backend that reads the number of a group would take one for the other: a user
// backend, or a file of users, could put a user into a configured group.
func TestAGroupFromElsewhereNeverHasTheNumberOfAConfiguredOne(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err == nil && strings.Contains(string(body), `"zoe"`):
			io.WriteString(rw, `{"user":{"subject":"17","name":"zoe","groups":["`+likePlayers+`","team-36822","testers-18759","crew"]}}`) //nolint:errcheck // the test sees it
		default:
			rw.WriteHeader(http.StatusUnauthorized)
			io.WriteString(rw, `{"error":"wrong"}`) //nolint:errcheck // the test sees it
		}
	}))
	defer backend.Close()
	s := setup{
		local:   "users " + w.usersFile(strings.Replace(ann, `"players"`, `"`+likePlayers+`","crew"`, 1)),
		global:  loginClients + "\nsignin backend accounts {\nurl " + backend.URL + "\nsecret " + ownSecret + "\ntimeout 5s\n}",
		handler: `respond "{http.request.header.X-SSO-Groups}"`,
		options: "grace_period 10ms",
	}.withLog()
	w.mustLoad(s) // in which the user demo is in players
	w.visitor().wantGroups("ann", "crew")
	w.visitor().wantGroups("zoe", "team-36822", "crew")
	raw, lines := w.logged()
	left := 0
	for _, l := range lines {
		if strings.HasPrefix(l.Text, "a group of a user was dropped") {
			left++
		}
	}
	if left != 2 || !strings.Contains(raw, likePlayers) || !strings.Contains(raw, "rename one") { // of each reason one a minute
		t.Errorf("%d lines say that a group was dropped: %s", left, raw)
	}

	// A gate that names another one, later, counts for who is signed in already.
	v := w.visitor()
	site := "http://" + w.site + "/"
	if got := v.submit(v.get(site), "zoe", "demo"); got.body != "team-36822,crew" {
		t.Fatalf("%s: %s", got.Status, got.body)
	}
	s.gate = "require group crew testers-18759"
	w.mustLoad(s)
	if got := v.getOnce(site); got.body != "testers-18759,crew" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

func TestGatesOfTwoSitesDoNotRequireGroupsOfOneNumber(t *testing.T) {
	two := strings.Replace(right, "sso_gate {", "sso_gate {\n\t\trequire group team-36822", 1) + `https://shop.example {
	sso_gate {
		client 1
		require group crew testers-18759
	}
	respond ok
}
`
	two = strings.NewReplacer("DIR", t.TempDir(), "HASH", demoHash).Replace(two)
	_, err := adapt(two)
	if err != nil && !onLineThatBegins(two, "require group crew", err) {
		t.Errorf("the error is on another line: %v", err)
	}
	for _, want := range []string{"team-36822", "testers-18759", "rename one"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
