package gate

import (
	"net/http"
	"strings"
	"testing"
)

func TestSeveralGatesOnASiteAddUp(t *testing.T) {
	f := newFixture(t)
	staff := f.second(func(g *Gate) {
		g.Policy.Groups = []string{"staff"}
		protects(g, "/admin")
	})
	b := f.browser()
	b.gates = []*Gate{f.gate, staff}
	b.enter(demo)
	b.want(b.do("GET", "/"), http.StatusOK)
	f.called = 0
	b.want(b.do("GET", "/admin"), http.StatusForbidden)
	b.want(b.do("GET", "/a;b"), http.StatusBadRequest)
	f.untouched()

	member := demo
	member.Groups = []string{"staff"}
	f.users[demo.Subject] = member
	b.want(b.do("GET", "/admin", "X-SSO-User", "admin", "X_SSO_Groups", "x"), http.StatusOK)
	got := identityOf(f.last.Header)
	if len(got) != 4 || got["X-Sso-User"][0] != "demo" || got["X-Sso-Groups"][0] != "staff" || len(f.last.Header["Cookie"]) > 0 {
		t.Fatalf("the upstream got %v", f.last.Header)
	}
}

// A later gate uses what the first one found, and so cannot be told otherwise
// by what stands between them.
func TestTheFirstGateLeavesItsOutcome(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	first, ok := f.gate.Handle(nil, b.request("/"))
	if !ok {
		t.Fatal("refused")
	}
	defer first.Release()
	delete(f.users, demo.Subject) // nobody is asked again
	first.Request.Header.Set("Cookie", f.gate.Sites[1].Cookie.Name+"=forged")
	second, ok := f.gate.Handle(nil, first.Request)
	if !ok || second.User == nil || second.User.Name != "demo" || second.Request.Header.Get("X-SSO-User") != "demo" {
		t.Fatalf("the second gate made %v of it", second.User)
	}
	second.Release()
	if err := second.Request.Context().Err(); err != nil {
		t.Fatal("the second gate's end ended the request:", err)
	}
}

func TestGatesWithDifferentPrefixesBothSetTheirs(t *testing.T) {
	f := newFixture(t)
	other := f.second(func(g *Gate) { g.Headers = headers(t, "X-Id-") })
	b := f.browser()
	b.gates = []*Gate{f.gate, other}
	b.enter(demo)
	b.want(b.do("GET", "/", "X-Id-User", "admin", "X_Id_Email", "admin", "X.SSO.User", "admin"), http.StatusOK)
	h := f.last.Header
	for name, want := range map[string]string{"X-Sso-User": "demo", "X-Id-User": "demo", "X-Id-Email": "demo@example.com", "X_id_email": "", "X.sso.user": ""} {
		if got := strings.Join(h[name], "|"); got != want {
			t.Errorf("%s is %q, expected %q", name, got, want)
		}
	}
}

func TestClass03AGateWhosePolicyIsForOtherPathsScrubsForAll(t *testing.T) {
	f := newFixture(t)
	protects(f.gate, "/a")
	second := f.second(func(g *Gate) { protects(g, "/b") })
	b := f.browser()
	b.enterBelow("/a", demo)
	b.gates = []*Gate{f.gate, second}
	for path, want := range map[string]string{"/a": "demo", "/b": "demo", "/c": ""} {
		b.want(b.do("GET", path, "X-SSO-User", "admin"), http.StatusOK)
		if got := f.last.Header.Get("X-SSO-User"); got != want {
			t.Errorf("%s: X-SSO-User %q, expected %q", path, got, want)
		}
	}
}

// Every gate sees every request of its site, so that no protocol goes on past
// one that does not name it.
func TestClass31EachOfSeveralGatesHasToNameAProtocol(t *testing.T) {
	f := newFixture(t)
	f.gate.AllowUpgrade = []string{"first", "both"}
	protects(f.gate, "/a")
	second := f.second(func(g *Gate) {
		g.AllowUpgrade = []string{"Both", "second"}
		protects(g, "/b")
	})
	b := f.browser()
	b.enterBelow("/a", demo)
	b.gates = []*Gate{f.gate, second}
	for _, path := range []string{"/a", "/b", "/c"} {
		for protocol, want := range map[string]string{"first": "", "second": "", "both": "both", "websocket": "websocket", "h2c": ""} {
			b.want(b.do("GET", path, "Connection", "Upgrade", "Upgrade", protocol), http.StatusOK)
			if got := f.last.Header.Get("Upgrade"); got != want || f.last.Header.Get("Connection") == "" != (want == "") {
				t.Errorf("%s, %s: Upgrade %q, Connection %q", path, protocol, got, f.last.Header.Get("Connection"))
			}
		}
	}
}
