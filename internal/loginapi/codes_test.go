package loginapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A client with a code but without its binding gets nothing, and costs its
// owner nothing.
func TestClass12And13ACodeIsForItsClientRedirectURIAndVerifier(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	other := strings.Repeat("w", 43)
	for _, tt := range []struct {
		name string
		form func(code string) url.Values
	}{
		{"another public client with the same redirect URI", func(c string) url.Values { return redemption(c, "client_id", "5") }},
		{"another client with a secret", func(c string) url.Values { return redemption(c, "client_id", "2", "client_secret", secret) }},
		{"another redirect URI of the client", func(c string) url.Values { return redemption(c, "redirect_uri", callback+"?track=7") }},
		{"the redirect URI in another case", func(c string) url.Values { return redemption(c, "redirect_uri", strings.ToUpper(callback)) }},
		{"no verifier", func(c string) url.Values { return redemption(c, "code_verifier", "-") }},
		{"an empty verifier", func(c string) url.Values { return redemption(c, "code_verifier", "") }},
		{"another verifier", func(c string) url.Values { return redemption(c, "code_verifier", other) }},
		{"the challenge for a verifier", func(c string) url.Values { return redemption(c, "code_verifier", oauth.Challenge(verifier)) }},
		{"the code cut short", func(c string) url.Values { return redemption(c[:len(c)-1]) }},
		{"the code padded", func(c string) url.Values { return redemption(c + "=") }},
		{"the code with a space", func(c string) url.Values { return redemption(c + " ") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := w.code(cookie, game())
			for range 3 {
				wantError(t, w.token(tt.form(code)), 400, "010-023", badGrant)
			}
			w.accessToken(w.token(redemption(code)), keys.RS256)
		})
	}
	t.Run("the port of a loopback address is bound too", func(t *testing.T) {
		code := w.code(cookie, game("redirect_uri", "http://127.0.0.1:50001/callback"))
		wantError(t, w.token(redemption(code, "redirect_uri", "http://127.0.0.1:50002/callback")), 400, "010-023", badGrant)
		w.accessToken(w.token(redemption(code, "redirect_uri", "http://127.0.0.1:50001/callback")), keys.RS256)
	})
	t.Run("a verifier for a code without a challenge", func(t *testing.T) {
		code := w.code(cookie, backend())
		wantError(t, w.token(backendRedemption(code, "code_verifier", verifier)), 400, "010-023", badGrant)
		w.accessToken(w.token(backendRedemption(code)), keys.ES256)
	})
	t.Run("a secret does not replace the verifier", func(t *testing.T) {
		code := w.code(cookie, backend("code_challenge", oauth.Challenge(verifier), "code_challenge_method", "S256"))
		wantError(t, w.token(backendRedemption(code)), 400, "010-023", badGrant)
		w.accessToken(w.token(backendRedemption(code, "code_verifier", verifier)), keys.ES256)
	})
}

func TestACodeExpires(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	code, late := w.code(cookie, game()), w.code(cookie, game())
	w.Clock.Advance(59 * time.Second)
	w.accessToken(w.token(redemption(code)), keys.RS256)
	w.Clock.Advance(time.Second)
	wantError(t, w.token(redemption(late)), 400, "010-023", badGrant)
}

func TestThousandsOfRedemptionsOfOneCodeSeeOneSuccess(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	body := redemption(w.code(cookie, game("client_id", "5")), "client_id", "5").Encode()
	const attempts = 3000
	var (
		successes, refusals atomic.Int64
		token               atomic.Value
		begin               = make(chan struct{})
		all                 sync.WaitGroup
	)
	for range attempts {
		all.Go(func() {
			<-begin
			a := w.Direct(http.MethodPost, "/api/oauth2/token", "", body, "Content-Type", form)
			switch {
			case a.Status == http.StatusOK:
				successes.Add(1)
				token.Store(a)
			case a.Status == http.StatusBadRequest && strings.Contains(a.Body, `"010-023"`):
				refusals.Add(1)
			}
		})
	}
	close(begin)
	all.Wait()
	if successes.Load() != 1 || refusals.Load() != attempts-1 {
		t.Errorf("%d successes and %d refusals of %d", successes.Load(), refusals.Load(), attempts)
	}
	// The others were replays, so the grant has ended (RFC 9700 section 4.5).
	claims := w.accessToken(token.Load().(answer), keys.ES256)
	active, err := w.Server.Grants.Active(t.Context(), oauth.Grant{ID: claims.Grant, Offline: true})
	if err != nil || active {
		t.Errorf("the grant is active: %v, %v", active, err)
	}
}

func TestClass19CodesOfTwoUsersNeverMix(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for i := range 16 {
		u := session.User{Subject: fmt.Sprintf("subject-%d", i), Name: fmt.Sprintf("user-%d", i), Email: fmt.Sprintf("u%d@example.com", i)}
		cookie, _ := w.signIn(u)
		state := fmt.Sprintf("state of %d", i)
		all.Go(func() {
			for range 20 {
				a := w.Direct(http.MethodGet, authPath, game("client_id", "5", "state", state).Encode(), "", "Cookie", cookie)
				location, err := url.Parse(a.Header.Get("Location"))
				if err != nil || location.Query().Get("state") != state {
					t.Errorf("%s went to %s", u.Name, location)
					return
				}
				a = w.Direct(http.MethodPost, "/api/oauth2/token", "", redemption(location.Query().Get("code"), "client_id", "5").Encode(), "Content-Type", form)
				var body struct {
					Token string `json:"access_token"`
				}
				var claims oauth.Claims
				if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
					t.Error(err)
					return
				}
				payload, err := w.Server.Keys.Verify(t.Context(), body.Token, keys.ES256)
				if err == nil {
					err = json.Unmarshal(payload, &claims)
				}
				if err != nil || claims.Subject != u.Subject || claims.Username != u.Name {
					t.Errorf("%s got the token of %s (%v)", u.Name, claims.Username, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestClass23CodesTokensAndGrantsAreNeverTwiceTheSame(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	seen := map[string]bool{}
	once := func(what, value string) {
		if seen[value] {
			t.Errorf("the %s %s is repeated", what, value)
		}
		seen[value] = true
	}
	for range 100 {
		code := w.code(cookie, game("client_id", "5"))
		claims := w.accessToken(w.token(redemption(code, "client_id", "5")), keys.ES256)
		once("code", code)
		once("jti", claims.ID)
		once("gid", claims.Grant)
	}
}

func TestNoSecretReachesALog(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	code := w.code(cookie, game("state", "secret-state"))
	second := w.code(cookie, backend())
	a := w.token(redemption(code))
	w.token(redemption(code, "code_verifier", "-"))
	w.token(redemption(second, "client_id", "5", "redirect_uri", callback))
	w.token(backendRedemption(second, "client_secret", "wrong-secret"))
	w.Get("/api/oauth2/clear_sso", cookie)
	w.token(backendRedemption(second))
	w.Store.Down(true)
	w.Restart()
	w.Get(authPath+"?"+game().Encode(), cookie)

	var lines []string
	for _, line := range append(w.Audit.All(), w.log.All()...) {
		fields, err := json.Marshal(line.ContextMap())
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line.Message+" "+string(fields))
	}
	log := strings.Join(lines, "\n")
	for _, want := range []string{"code issued", "code redeemed", "code reused", "grant ended", "code refused", "session ended", sess.ID(), "192.0.2.1"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	_, token, _ := strings.Cut(cookie, "=")
	key := sess.Key()
	for what, not := range map[string]string{
		"code": code, "second code": second, "cookie": token, "verifier": verifier, "challenge": oauth.Challenge(verifier), "secret": secret,
		"wrong secret": "wrong-secret", "state": "secret-state", "access token": strings.Split(a.Body, `"`)[3], "session key": fmt.Sprintf("%x", key[:]),
	} {
		if strings.Contains(log, not) {
			t.Errorf("the %s is in the log:\n%s", what, log)
		}
	}
}
