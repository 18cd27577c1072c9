package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/signin/background"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// asked is a provider that is asked about its sessions, and the tokens that it
// got.
type asked struct {
	*atProvider
	rechecks *background.Rechecks

	mu     sync.Mutex
	tokens []string
	answer func(w http.ResponseWriter, token string) // nil: the next token
}

func newAsked(t *testing.T) *asked {
	t.Helper()
	a := &asked{atProvider: newAtProvider(t, func(o *provider.Options) { o.Recheck = time.Hour })}
	a.provider.Token = map[string]any{"refresh_token": "token 0"}
	a.rechecks = background.NewRechecks(a.hosted.Server, a.hosted.Methods, zap.NewNop())
	a.rechecks.Pause = func(int) {}
	return a
}

// ask has what is due asked, and says how much that was.
func (a *asked) ask() int {
	a.t.Helper()
	a.provider.Set(func() {
		a.provider.Handle["/token"] = func(w http.ResponseWriter, r *http.Request) {
			a.mu.Lock()
			defer a.mu.Unlock()
			token := r.FormValue("refresh_token")
			if r.FormValue("grant_type") != "refresh_token" {
				a.t.Errorf("asked for %v", r.Form)
			}
			a.tokens = append(a.tokens, token)
			if a.answer != nil {
				a.answer(w, token)
				return
			}
			a.provider.Answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "refresh_token": fmt.Sprint("token ", len(a.tokens))})
		}
	})
	defer a.provider.Set(func() { delete(a.provider.Handle, "/token") })
	for n := 0; ; n++ {
		select {
		case k := <-a.rechecks.Due:
			var alone sync.WaitGroup
			alone.Go(func() { // which may be killed
				if err := a.rechecks.Check(a.t.Context(), k); err != nil {
					a.t.Log(err)
				}
			})
			alone.Wait()
		default:
			return n
		}
	}
}

func refuses(status int, code string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q}`, code)
	}
}

func TestAProviderIsAskedOnceInATimeWhateverTheTraffic(t *testing.T) {
	f := newAsked(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	total := 0
	for range 180 { // three hours
		f.clock.Advance(time.Minute)
		for range 5 {
			f.who(b.session())
		}
		total += f.ask()
	}
	if total < 2 || total > 3 || len(f.tokens) != total {
		t.Errorf("asked %d times, with %q", total, f.tokens)
	}
	for i, token := range f.tokens {
		if token != fmt.Sprint("token ", i) {
			t.Errorf("asked with %q at %d", token, i)
		}
	}
	if f.who(b.session()) == "" {
		t.Error("the session ended")
	}
}

func TestAProviderThatGivesNoRefreshTokenIsNamedInTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		recheck time.Duration
		token   map[string]any
		lines   int
	}{
		"asked about, without a token": {time.Hour, nil, 1},
		"asked about, with one":        {time.Hour, map[string]any{"refresh_token": "x"}, 0},
		"not asked about":              {0, nil, 0},
	} {
		f := newAtProvider(t, func(o *provider.Options) { o.Recheck = c.recheck })
		f.provider.Token = c.token
		core, log := observer.New(zap.WarnLevel)
		f.hosted.Log = zap.New(core)
		for range 3 { // within a minute
			f.signsIn(map[string]any{"sub": "ann"})
		}
		if n := log.FilterMessageSnippet("gave no refresh token").FilterField(zap.String("signin", "acme")).Len(); n != c.lines {
			t.Errorf("%s: %d lines: %v", name, n, log.All())
		}
	}
}

func TestOnlyARefusedTokenEndsASession(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, string)
		ends   bool
	}{
		"the account is disabled":    {refuses(http.StatusBadRequest, "invalid_grant"), true},
		"the application is refused": {refuses(http.StatusUnauthorized, "invalid_client"), false},
		"another error":              {refuses(http.StatusBadRequest, "invalid_request"), false},
		"it is down":                 {refuses(http.StatusBadGateway, "invalid_grant"), false},
		"it is asked too much":       {refuses(http.StatusTooManyRequests, "invalid_grant"), false},
		"it answers in prose":        {func(w http.ResponseWriter, _ string) { fmt.Fprint(w, "invalid_grant") }, false},
		"it answers 400 in prose":    {func(w http.ResponseWriter, _ string) { http.Error(w, "invalid_grant", http.StatusBadRequest) }, false},
		"it answers nothing":         {func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, false},
		"it gives the same token back": {func(w http.ResponseWriter, token string) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"x","token_type":"Bearer"}`)
		}, false},
	} {
		f := newAsked(t)
		b := f.signsIn(map[string]any{"sub": "ann"})
		f.answer = c.answer
		for range 2 {
			f.clock.Advance(2 * time.Hour)
			f.who(b.session())
			f.ask()
		}
		if got := f.who(b.session()) == ""; got != c.ends {
			t.Errorf("%s: ended %v", name, got)
		}
		if !c.ends && (len(f.tokens) != 2 || f.tokens[1] != "token 0") {
			t.Errorf("%s: asked with %q", name, f.tokens)
		}
	}
}

func TestARefusalOfATokenThatWasReplacedMeanwhileEndsNothing(t *testing.T) {
	f := newAsked(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	f.clock.Advance(2 * time.Hour)
	f.who(b.session())
	key := f.key(b)
	f.answer = func(w http.ResponseWriter, token string) { // as another node would
		_, up, err := f.hosted.Server.Sessions.ProviderSession(t.Context(), key)
		if err != nil {
			t.Error(err)
		}
		if ok, err := f.hosted.Server.Sessions.Renew(t.Context(), key, up.Refresh, session.ProviderSession{Refresh: up.Refresh + "x", Every: up.Every}); !ok || err != nil {
			t.Error(ok, err)
		}
		refuses(http.StatusBadRequest, "invalid_grant")(w, token)
	}
	if f.ask() != 1 || f.who(b.session()) == "" {
		t.Error("the session ended")
	}
}

func (f *asked) key(b *visitor) session.Key {
	f.t.Helper()
	token, ok := session.ParseToken(b.session())
	if !ok {
		f.t.Fatal("there is no session")
	}
	return token.Key()
}

func TestTheNextTokenIsStoredThoughTheStoreFailsForAWhile(t *testing.T) {
	f := newAsked(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	f.clock.Advance(2 * time.Hour)
	f.who(b.session())
	f.rechecks.Pause = func(try int) {
		if try == 3 {
			f.store.Down(false)
		}
	}
	f.answer = func(w http.ResponseWriter, _ string) {
		f.store.Down(true)
		f.provider.Answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "refresh_token": "token 1"})
	}
	f.ask()
	f.answer = nil
	f.clock.Advance(2 * time.Hour)
	f.who(b.session())
	f.ask()
	if len(f.tokens) != 2 || f.tokens[1] != "token 1" || f.who(b.session()) == "" {
		t.Errorf("asked with %q", f.tokens)
	}
}

func TestATokenOfAProviderIsSealedAndGoesToNobodyElse(t *testing.T) {
	f := newAsked(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	err := f.store.Scan(t.Context(), "", func(key string, value []byte) error {
		if strings.Contains(key+string(value), "token 0") {
			t.Errorf("it is in the store under %q", key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The same ID, and another provider.
	other := providertest.New(t)
	f.use(f.hosted.Methods[0], other.Method(func(o *provider.Options) { o.Recheck, o.Now = time.Hour, f.clock.Now }))
	f.rechecks.Methods = f.hosted.Methods
	f.clock.Advance(2 * time.Hour)
	f.who(b.session())
	if f.ask() != 1 || other.Times("/token") != 0 || len(f.tokens) != 0 || f.who(b.session()) == "" {
		t.Errorf("the other was asked %d times, the first with %q", other.Times("/token"), f.tokens)
	}
}

func TestRechecksFinishWhatTheyHaveBegun(t *testing.T) {
	f := newAsked(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	f.clock.Advance(2 * time.Hour)
	f.who(b.session())
	ctx, stop := context.WithCancel(t.Context())
	f.provider.Set(func() {
		f.provider.Handle["/token"] = func(w http.ResponseWriter, _ *http.Request) {
			stop()
			refuses(http.StatusBadRequest, "invalid_grant")(w, "")
		}
	})
	f.rechecks.Run(ctx)
	if f.who(b.session()) != "" {
		t.Error("the session is alive")
	}
	// What is due from here on is for another configuration.
	f.provider.Set(func() { delete(f.provider.Handle, "/token") })
	b = f.signsIn(map[string]any{"sub": "ann"})
	f.clock.Advance(2 * time.Hour)
	f.who(b.session())
	told := 0
	f.hosted.Server.Sessions.OnRecheck(func(session.Key) { told++ })
	f.clock.Advance(time.Hour)
	f.who(b.session())
	if told != 1 || f.ask() != 0 {
		t.Errorf("the other was told %d times", told)
	}
	if _, up, err := f.hosted.Server.Sessions.ProviderSession(t.Context(), f.key(b)); err != nil || up.Asked != f.clock.Now().UnixMilli() {
		t.Error(up.Asked, err)
	}
}

// away is a provider that does not answer.
type away struct{ id string }

func (a away) ID() string                                { return a.id }
func (away) Current(u session.User) (session.User, bool) { return u, true }
func (a away) Renewal() (at string, every time.Duration) { return a.id, time.Hour }
func (away) Renew(context.Context, string) (next string, err error) {
	return "", &signin.DownError{Cause: signin.ErrNotAsked}
}

func TestEachProviderThatIsAwayIsNamedInTheLog(t *testing.T) {
	f := newFixture(t)
	f.use(away{"acme"}, away{"umbrella"})
	core, log := observer.New(zap.WarnLevel)
	r := background.NewRechecks(f.hosted.Server, f.hosted.Methods, zap.New(core))
	for range 3 { // within a minute
		for _, method := range f.hosted.Methods {
			sealed, err := r.Keys.Seal(t.Context(), background.RefreshLabel(method, method.ID()), []byte("token"))
			if err != nil {
				t.Fatal(err)
			}
			_, s, err := f.hosted.Server.Sessions.Begin(t.Context(), session.SignIn{
				User: session.User{Subject: "ann", Signin: method.ID()}, Upstream: session.ProviderSession{Refresh: sealed, Every: time.Hour},
			})
			if err != nil {
				t.Fatal(err)
			}
			r.NotAsked(s.Key(), r.Check(t.Context(), s.Key()))
		}
	}
	said := log.FilterMessageSnippet("could not be asked").All()
	if len(said) != 2 || !strings.Contains(fmt.Sprint(said[0].ContextMap()), "signin acme:") || !strings.Contains(fmt.Sprint(said[1].ContextMap()), "signin umbrella:") {
		t.Errorf("the log says %v", said)
	}
}

func TestAProviderThatRefusesInFourWaysHasALineOfEach(t *testing.T) {
	a := newAsked(t)
	core, log := observer.New(zap.WarnLevel)
	a.rechecks.Log = zap.New(core)
	for range 3 { // within a minute
		for _, cause := range []error{
			signin.ErrNotAsked, &signin.RefusedError{Code: "invalid_client"}, &signin.DownError{Cause: fmt.Errorf("renewing: status %d", 500)}, &signin.DownError{Cause: fmt.Errorf("renewing: status %d", 502)},
		} {
			a.rechecks.NotAsked(session.Key{}, &background.MethodError{ID: "acme", Cause: cause})
		}
	}
	if got := reasons(log.All()); len(got) != 4 {
		t.Errorf("%d lines: %q", len(got), got)
	}
}
