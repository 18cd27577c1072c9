package portal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/signin"
)

// wantLines floods the portal, and wants one line a minute, which says how often
// it happened.
func (f *fixture) wantLines(flood func(i int)) {
	f.t.Helper()
	core, log := observer.New(zapcore.WarnLevel)
	f.hosted.Log = zap.New(core)
	for _, minute := range []struct{ requests, counted int }{{50, 1}, {20, 50}, {1, 20}} {
		for i := range minute.requests {
			flood(i)
		}
		lines := log.TakeAll()
		if len(lines) != 1 || lines[0].ContextMap()["requests"] != int64(minute.counted) || lines[0].ContextMap()["from"] != string(f.from) {
			f.t.Errorf("the log has %d lines, the last %v, and should count %d", len(lines), lines[max(len(lines)-1, 0):], minute.counted)
		}
		f.clock.Advance(time.Minute)
	}
}

func TestClass24BadLogoutTokensDoNotFillTheLog(t *testing.T) {
	f := newAtProvider(t)
	f.wantLines(func(int) { want(t, f.logsOut("x.y.z"), http.StatusBadRequest) })
	f.provider.Set(func() { f.provider.Handle["/jwks"] = http.NotFound })
	f.wantLines(func(i int) {
		want(t, f.logsOut(f.logoutToken(map[string]any{"sub": "ann", "jti": fmt.Sprint(i)})), http.StatusBadRequest)
	})
}

func TestClass24BadRequestsForTicketsDoNotFillTheLog(t *testing.T) {
	f := newTrustedFixture(t)
	f.wantLines(func(i int) {
		want(t, f.post("game", request("x", "17"), fmt.Sprintf("t=%d,v1=00", i)), http.StatusUnauthorized)
	})
}

func TestClass24SignInsThatCannotWorkDoNotFillTheLog(t *testing.T) {
	for name, flood := range map[string]func(f *outsideFixture, b *visitor){
		"answers that are made up": func(_ *outsideFixture, b *visitor) {
			want(t, b.open(portal.CallbackPrefix+"acme?error=made_up&state="+b.leave(b.open(portal.SignInPath), "acme")), http.StatusBadGateway)
		},
		"answers that no node of ours sealed": func(_ *outsideFixture, b *visitor) {
			want(t, b.open(portal.CallbackPrefix+"acme?code=x&state=x"), http.StatusBadRequest)
		},
		"passwords for a backend that is down": func(_ *outsideFixture, b *visitor) {
			want(t, b.try("zoe", "hunter2"), http.StatusServiceUnavailable)
		},
		"departures to a provider that is down": func(f *outsideFixture, _ *visitor) {
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			if _, refusal := f.hosted.StartAtProvider(w, r, &f.asks, "", "down"); refusal == nil {
				t.Error("it can be left for")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, own := newOutsideFixture(t), remotetest.NewBackend(t)
			own.Says(http.StatusInternalServerError, "")
			f.acme.endErr = signin.ErrAnswer
			down := newElsewhere("down")
			down.startErr = &signin.DownError{}
			f.use(f.local, f.acme, down, own.Method("accounts", time.Minute))
			b := f.visitor()
			f.wantLines(func(int) { flood(f, b) })
		})
	}
}

func TestTheFaultOfOneMethodDoesNotHideThatOfAnother(t *testing.T) {
	f := newFixture(t)
	core, log := observer.New(zapcore.WarnLevel)
	f.hosted.Log = zap.New(core)
	for id, status := range map[string]int{"first": http.StatusInternalServerError, "second": http.StatusUnauthorized} {
		b := remotetest.NewBackend(t)
		b.Says(status, "")
		f.use(b.Method(id, time.Minute))
		for range 2 {
			want(t, f.visitor().try("zoe", "hunter2"), http.StatusServiceUnavailable)
		}
		lines := log.TakeAll()
		if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()["error"]), "signin backend "+id) {
			t.Errorf("%s: the log has %v", id, lines)
		}
	}
}

func TestALogoutThatFailsForOurFaultIsAlwaysLogged(t *testing.T) {
	f := newAtProvider(t)
	want(t, f.logsOut(f.logoutToken(map[string]any{"sub": "nobody"})), http.StatusOK) // the keys are known
	core, log := observer.New(zapcore.WarnLevel)
	f.hosted.Log = zap.New(core)
	f.store.Down(true)
	for i := range 3 {
		want(t, f.logsOut(f.logoutToken(map[string]any{"sub": "ann", "jti": fmt.Sprint("j", i)})), http.StatusBadRequest)
	}
	if n := log.Len(); n != 3 {
		t.Errorf("%d lines", n)
	}
}

// reasons are the texts of the lines that a log has, each as often as it is there.
func reasons(lines []observer.LoggedEntry) []string {
	var texts []string
	for _, l := range lines {
		texts = append(texts, fmt.Sprint(l.ContextMap()["error"]))
	}
	return texts
}

func TestABackendThatFailsInFourWaysHasALineOfEach(t *testing.T) {
	f, own := newFixture(t), remotetest.NewBackend(t)
	f.use(own.Method("accounts", 10*time.Second))
	core, log := observer.New(zapcore.WarnLevel)
	f.hosted.Log = zap.New(core)
	for range 3 {
		for status, answer := range map[int]string{500: "", 502: "", 401: "who are you", 200: "no JSON"} {
			own.Says(status, answer)
			want(t, f.visitor().try("zoe", "hunter2"), http.StatusServiceUnavailable)
		}
	}
	if got := reasons(log.TakeAll()); len(got) != 4 {
		t.Errorf("%d lines: %q", len(got), got)
	}
	own.Says(500, "")
	f.clock.Advance(time.Minute)
	want(t, f.visitor().try("zoe", "hunter2"), http.StatusServiceUnavailable)
	if lines := log.TakeAll(); len(lines) != 1 || lines[0].ContextMap()["requests"] != int64(3) {
		t.Errorf("after a minute: %v", lines)
	}
}

func TestAProviderThatFailsInFourWaysHasALineOfEach(t *testing.T) {
	f := newAtProvider(t)
	core, log := observer.New(zapcore.WarnLevel)
	f.hosted.Log = zap.New(core)
	b := f.visitor()
	fails := func(answer http.HandlerFunc) {
		t.Helper()
		f.provider.Set(func() { f.provider.Handle["/token"] = answer })
		if w := f.comes(b, map[string]any{"sub": "ann"}); w.Code < 500 {
			t.Errorf("status %d", w.Code)
		}
	}
	// What browsers made up beforehand takes no line from what the provider says.
	for i := range 40 {
		code := strings.Repeat("x", i+1)
		want(t, b.open(portal.CallbackPrefix+"acme?error="+code+"&state="+f.leaves(b).Get("state")), http.StatusBadGateway)
	}
	if n := len(log.TakeAll()); n > 17 {
		t.Errorf("%d lines by browsers", n)
	}
	for range 3 {
		fails(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusInternalServerError) })
		fails(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusServiceUnavailable) })
		for _, code := range []string{"invalid_client", "unauthorized_client"} {
			fails(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"error":%q}`, code)
			})
		}
	}
	if got := reasons(log.TakeAll()); len(got) != 4 {
		t.Errorf("%d lines: %q", len(got), got)
	}
}
