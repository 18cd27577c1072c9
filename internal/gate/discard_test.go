package gate

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A hostile page can lead a browser to the portal with whatever state and
// challenge it likes, and gets none of the codes that come of it.
func TestClass24ForeignStatesDoNotUseUpTheCodesOfAUser(t *testing.T) {
	f := newFixture(t)
	f.gate.Server.Limits.PerSession = 4
	core, log := observer.New(zapcore.InfoLevel)
	f.gate.Server.Audit = oauth.NewAudit(zap.New(core))
	attacker, victim := f.browser(), f.browser()
	victim.signIn(demo)
	second, _ := f.gate.Server.Clients.Get("2")
	sealed := func(g *Gate, origin string) string {
		s, err := g.seal(t.Context(), state{ID: "x", Client: g.Client.ID, Origin: origin, Return: "/", Begun: f.clock.Now().Unix()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, foreign := range map[string]string{
		"that is made up":    "12345678",
		"of another browser": parse(t, attacker.open("/").Header().Get("Location")).Query().Get("state"),
		"of another gate":    sealed(f.second(func(g *Gate) { g.Client = second }), siteOrigin),
		"of another site":    sealed(f.gate, httpsOrigin),
	} {
		t.Run("a state "+name, func(t *testing.T) {
			log.TakeAll()
			for range 10 {
				q := url.Values{
					"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {siteOrigin + "/oauth2/callback"}, "scope": {"email"}, "audience": {"game"},
					"code_challenge_method": {"S256"}, "code_challenge": {oauth.Challenge(strings.Repeat("e", 43))}, "state": {foreign},
				}
				victim.open(victim.portal(portalOrigin + "/api/oauth2/auth?" + q.Encode()))
			}
			refused := log.FilterMessage(string(oauth.CodeRefused)).All()
			if len(refused) != 10 || !strings.HasPrefix(refused[0].ContextMap()["why"].(string), "discarded: its state is ") {
				t.Errorf("the audit log says %v", refused)
			}
			if n := log.FilterMessage(string(oauth.GrantEnded)).Len(); n != 0 {
				t.Errorf("%d grants ended", n)
			}
		})
	}
	w := victim.open(victim.portal(victim.open("/x").Header().Get("Location")))
	if got := w.Header().Get("Location"); got != siteOrigin+"/x" {
		t.Fatalf("led to %q", got)
	}
}

// What a gate discards has to be its own.
func TestClass12AGateDiscardsNoCodeOfAnotherClientOrSite(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(demo)
	callback := b.portal(b.open("/x").Header().Get("Location"))
	code := "/oauth2/callback?state=12345678&code=" + parse(t, callback).Query().Get("code")

	first, _ := f.gate.Server.Clients.Get("1")
	second, _ := f.gate.Server.Clients.Get("2")
	f.use(second)
	b.want(b.open(code), http.StatusBadRequest)
	f.use(first)
	elsewhere := f.browser()
	elsewhere.origin = httpsOrigin
	elsewhere.want(elsewhere.open(code), http.StatusBadRequest)
	if got := b.open(callback).Header().Get("Location"); got != siteOrigin+"/x" {
		t.Fatalf("led to %q", got)
	}
	b.want(b.open(code), http.StatusBadRequest) // a code that is spent
	b.want(b.open("/x"), http.StatusOK)
}
