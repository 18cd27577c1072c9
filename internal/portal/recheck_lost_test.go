package portal_test

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signin/background"
)

// uses has the session used for a time, and says how often the provider was asked.
func (a *asked) uses(b *visitor, during time.Duration) int {
	a.t.Helper()
	total := 0
	for range during / (2 * time.Hour) {
		a.clock.Advance(2 * time.Hour)
		a.who(b.session())
		total += a.ask()
	}
	return total
}

// rotated answers with a next token, after which every other is refused, and then
// does something in place of letting that answer arrive.
func (a *asked) rotated(lose func(w http.ResponseWriter)) {
	a.answer = func(w http.ResponseWriter, _ string) {
		a.answer = refuses(http.StatusBadRequest, "invalid_grant")
		lose(w)
	}
}

func (a *asked) next(w http.ResponseWriter) {
	a.provider.Answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "refresh_token": "the next"})
}

func TestALostAnswerOfAProviderSignsNobodyOut(t *testing.T) {
	for name, lose := range map[string]func(a *asked) func(w http.ResponseWriter){
		"the process dies before the next token is stored": func(a *asked) func(http.ResponseWriter) {
			a.rechecks.Pause = func(int) { runtime.Goexit() }
			return func(w http.ResponseWriter) {
				a.store.Down(true)
				a.next(w)
			}
		},
		"the store is away for too long": func(a *asked) func(http.ResponseWriter) {
			return func(w http.ResponseWriter) {
				a.store.Down(true)
				a.next(w)
			}
		},
		"the connection breaks": func(*asked) func(http.ResponseWriter) {
			return func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
		},
		"a proxy answers": func(*asked) func(http.ResponseWriter) {
			return func(w http.ResponseWriter) { http.Error(w, "gateway time-out", http.StatusGatewayTimeout) }
		},
		"the answer arrives damaged": func(*asked) func(http.ResponseWriter) {
			return func(w http.ResponseWriter) { fmt.Fprint(w, `{"access_token":"x","refr`) }
		},
	} {
		for _, recovers := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", and it recovers: ", recovers), func(t *testing.T) {
				f := newAsked(t)
				b := f.signsIn(map[string]any{"sub": "ann"})
				f.rotated(lose(f))
				if f.uses(b, 2*time.Hour) != 1 {
					t.Fatal("it was not asked")
				}
				f.store.Down(false)
				if n := f.uses(b, background.Doubt-2*time.Hour); n != 1 || f.who(b.session()) == "" {
					t.Fatalf("asked %d times in a day after that; %q is signed in", n, f.who(b.session()))
				}
				if recovers {
					f.answer = nil
					if n := f.uses(b, 24*time.Hour); n < 8 || f.who(b.session()) == "" {
						t.Errorf("after it took the token again, it was asked %d times; %q is signed in", n, f.who(b.session()))
					}
					// From here on a refusal is one.
					f.answer = refuses(http.StatusBadRequest, "invalid_grant")
					if f.uses(b, 4*time.Hour); f.who(b.session()) != "" {
						t.Error("the session goes on")
					}
					return
				}
				if n := f.uses(b, 8*time.Hour); n != 1 || f.who(b.session()) != "" {
					t.Errorf("asked %d times after a day; %q is signed in", n, f.who(b.session()))
				}
				for i, token := range f.tokens {
					if token != "token 0" {
						t.Errorf("asked with %q at %d", token, i)
					}
				}
			})
		}
	}
}

func TestARefusalAfterAnAnswerThatWasNotLostEndsTheSession(t *testing.T) {
	away, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away.Close()
	var unreachable atomic.Bool
	for name, first := range map[string]func(a *asked) (after func()){
		"the next token": func(*asked) func() { return func() {} },
		"another refusal": func(a *asked) func() {
			a.answer = refuses(http.StatusUnauthorized, "invalid_client")
			return func() {}
		},
		"none, since nothing reached the provider": func(a *asked) func() {
			unreachable.Store(true)
			return func() { unreachable.Store(false) }
		},
	} {
		f := newAsked(t)
		reachable := f.acme.Client.Transport
		f.acme.Client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if !unreachable.Load() {
				return reachable.RoundTrip(r)
			}
			_, err := new(net.Dialer).DialContext(r.Context(), "tcp", away.Addr().String())
			return nil, err
		})
		b := f.signsIn(map[string]any{"sub": "ann"})
		after := first(f)
		if f.uses(b, 2*time.Hour) != 1 || f.who(b.session()) == "" {
			t.Fatalf("%s: it was not asked, or the session ended", name)
		}
		after()
		f.answer = refuses(http.StatusBadRequest, "invalid_grant")
		if f.uses(b, 4*time.Hour); f.who(b.session()) != "" {
			t.Errorf("%s: the session goes on", name)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestARefusalCountsADayAfterTheFirstHoweverLongNoAnswerCame(t *testing.T) {
	for name, silent := range map[string]func(http.ResponseWriter, string){
		"a connection that breaks": func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) },
		"a proxy that answers":     refuses(http.StatusGatewayTimeout, "x"),
	} {
		f := newAsked(t)
		b := f.signsIn(map[string]any{"sub": "ann"})
		f.answer = silent
		if n := f.uses(b, background.Doubt+4*time.Hour); n < 8 || f.who(b.session()) == "" {
			t.Fatalf("%s: asked %d times; %q is signed in", name, n, f.who(b.session()))
		}
		f.answer = refuses(http.StatusBadRequest, "invalid_grant")
		if n := f.uses(b, background.Doubt); n != 1 || f.who(b.session()) == "" {
			t.Fatalf("%s: asked %d times in the day of the first refusal; %q is signed in", name, n, f.who(b.session()))
		}
		if f.uses(b, 4*time.Hour); f.who(b.session()) != "" {
			t.Errorf("%s: the session goes on", name)
		}
	}
}

func TestAProviderIsNotAskedWhereThatCannotBeWrittenDown(t *testing.T) {
	f := newAsked(t)
	b := f.signsIn(map[string]any{"sub": "ann"})
	f.clock.Advance(2 * time.Hour)
	f.who(b.session())
	f.store.FailCalls(func(call int) bool { return call > 1 }) // it is read, and cannot be written
	f.ask()
	f.store.Down(false)
	if len(f.tokens) != 0 || f.who(b.session()) == "" {
		t.Errorf("asked with %q", f.tokens)
	}
	if f.uses(b, 4*time.Hour) == 0 || len(f.tokens) == 0 {
		t.Error("it is never asked again")
	}
}
