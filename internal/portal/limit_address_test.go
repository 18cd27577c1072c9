package portal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/signin"
)

func TestClass24OneAddressDoesNotHoldAllPlacesOfAProvider(t *testing.T) {
	f := newAtProvider(t)
	f.hosted.From = func(r *http.Request) oauth.Origin { return oauth.Origin(r.Header.Get("X-From")) }
	let := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(let) })
	t.Cleanup(goOn)
	f.provider.Set(func() {
		f.provider.Handle["/token"] = func(w http.ResponseWriter, _ *http.Request) {
			<-let
			refuses(http.StatusBadRequest, "invalid_grant")(w, "")
		}
	})
	// answers is a browser that left for the provider, and its callback.
	answers := func(from string) func() *httptest.ResponseRecorder {
		t.Helper()
		b := f.visitor()
		state := f.leaves(b).Get("state")
		return func() *httptest.ResponseRecorder {
			return b.do("GET", portal.CallbackPrefix+"acme?code=garbage&state="+state, nil, "X-From", from)
		}
	}
	var all sync.WaitGroup
	inFlight := func(from string, others int) {
		t.Helper()
		answer := answers(from)
		all.Go(func() {
			if w := answer(); w.Code != http.StatusBadGateway {
				t.Errorf("from %s: status %d", from, w.Code)
			}
		})
		for deadline := time.Now().Add(10 * time.Second); f.acme.InFlight() != others+1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("from %s: %d wait for the provider, not %d", from, f.acme.InFlight(), others+1)
			}
		}
	}
	busy := func(from string) {
		t.Helper()
		w := answers(from)()
		want(t, w, http.StatusServiceUnavailable)
		wantText(t, w, "Many people are signing in right now")
		if w.Header().Get("Retry-After") == "" {
			t.Error("there is no Retry-After")
		}
	}
	n := 0
	for range limits.MaxPerAddress {
		inFlight("192.0.2.1", n)
		n++
	}
	first := fillLine(t, f.hosted.Returning(), "acme 192.0.2.1", limits.MaxPerAddress)
	busy("192.0.2.1")
	busy("::ffff:192.0.2.1")
	inFlight("192.0.2.2", n)
	n++
	for i := range limits.MaxPerAddress {
		inFlight(fmt.Sprintf("2001:db8::%d", i), n)
		n++
	}
	second := fillLine(t, f.hosted.Returning(), "acme 2001:db8::/64", limits.MaxPerAddress)
	busy("2001:db8::ffff")
	inFlight("2001:db8:0:1::1", n)

	first()
	second()
	goOn()
	all.Wait()
	want(t, answers("192.0.2.1")(), http.StatusBadGateway)
	if f.hosted.Returning().Count() != 0 {
		t.Errorf("%d are left", f.hosted.Returning().Count())
	}
}

func TestOneMethodDoesNotKeepAnAddressFromAnother(t *testing.T) {
	var l limits.Queues
	defer fillLine(t, &l, "acme 192.0.2.1", limits.MaxPerAddress)()
	if _, err := l.Enter(t.Context(), "acme 192.0.2.1", limits.MaxPerAddress, limits.MaxWaitingPerAddress); !errors.Is(err, signin.ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := l.Enter(t.Context(), "umbrella 192.0.2.1", limits.MaxPerAddress, limits.MaxWaitingPerAddress); err != nil {
		t.Error("the other method is full, too:", err)
	}
}

func TestAnOfficeSignsInAtOnce(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	f.use(f.hosted.Methods[0], b.Method("accounts", time.Minute))
	const people = 3 * limits.MaxPerAddress
	let := make(chan struct{})
	var asked, beyond atomic.Int32
	b.Answers(func(w http.ResponseWriter, _ *http.Request) {
		if int(asked.Add(1)) > limits.TurnsPerAddress() {
			beyond.Add(1)
		}
		<-let
		asked.Add(-1)
		io.WriteString(w, `{"user":{"subject":"17"}}`) //nolint:errcheck // the test sees it
	})
	var all sync.WaitGroup
	for i := range people {
		v := f.visitor()
		in := v.form(v.open(portal.SignInPath))
		all.Go(func() {
			if w := v.submit(in, fmt.Sprint("colleague ", i), "right"); w.Code != http.StatusOK {
				t.Errorf("status %d", w.Code)
			}
		})
	}
	addresses := &f.hosted.Turns().Addresses
	until(t, func() bool { return addresses.Here(string(f.from)) == people })
	close(let)
	all.Wait()
	if beyond.Load() > 0 || addresses.Here(string(f.from)) != 0 {
		t.Errorf("%d were asked about beside as many as may be, and %d are left", beyond.Load(), addresses.Here(string(f.from)))
	}
}

// fillLine fills the places of an address, and those to wait in.
func fillLine(t *testing.T, l *limits.Queues, kind string, places int) (disperse func()) {
	t.Helper()
	full := places + limits.MaxWaitingPerAddress
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range full - l.Here(kind) {
		all.Go(func() {
			if leave, err := l.Enter(ctx, kind, places, limits.MaxWaitingPerAddress); err == nil {
				<-ctx.Done()
				leave()
			}
		})
	}
	until(t, func() bool { return l.Here(kind) == full })
	return func() {
		cancel()
		all.Wait()
	}
}

// here counts those with a place, and those who wait for one.

func until(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to that")
		}
	}
}

func TestClass24OneAddressDoesNotHoldAllPlacesOfABackend(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	method := b.Method("accounts", time.Minute)
	f.use(f.hosted.Methods[0], method)
	let := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(let) })
	t.Cleanup(goOn)
	var from atomic.Value
	from.Store(f.from)
	f.hosted.From = func(*http.Request) oauth.Origin { return from.Load().(oauth.Origin) }
	owner := f.visitor()
	b.Says(http.StatusOK, `{"user":{"subject":"17","name":"zoe"}}`)
	want(t, owner.try("zoe", "right"), http.StatusOK)
	b.Answers(func(w http.ResponseWriter, _ *http.Request) {
		<-let
		io.WriteString(w, `{"user":{"subject":"17","name":"zoe"}}`) //nolint:errcheck // the test sees it
	})
	var all sync.WaitGroup
	waiting := 0
	asks := func(v *visitor, address oauth.Origin, name string) {
		t.Helper()
		from.Store(address)
		in := v.form(v.open(portal.SignInPath + "?switch=1"))
		all.Go(func() {
			if w := v.submit(in, name, "right"); w.Code != http.StatusOK {
				t.Errorf("%s from %s: %d", name, address, w.Code)
			}
		})
		waiting++
		until(t, func() bool { return len(method.Asking.Cores) == waiting })
	}
	for i := range limits.TurnsPerAddress() {
		asks(f.visitor(), "192.0.2.1", fmt.Sprint("colleague ", i))
	}
	disperse := fillLine(t, &f.hosted.Turns().Addresses, "192.0.2.1", limits.TurnsPerAddress())
	for _, name := range []string{"zoe", "demo", "nobody"} { // which tells nothing of any
		for range 2 * f.hosted.Limits.PerAccount { // none of which is an attempt
			w := f.visitor().try(name, "x")
			want(t, w, http.StatusServiceUnavailable)
			wantText(t, w, "Many people are signing in right now")
		}
	}
	asks(owner, "192.0.2.1", "zoe")
	asks(f.visitor(), "192.0.2.2", "zoe")
	want(t, f.visitor().try("demo", "demo password"), http.StatusOK)
	disperse()
	goOn()
	all.Wait()
	from.Store(oauth.Origin("192.0.2.1"))
	want(t, f.visitor().try("zoe", "x"), http.StatusOK)
	if left := f.hosted.Turns().Addresses.Count() + f.hosted.Turns().Accounts.Count(); left != 0 {
		t.Errorf("%d are left", left)
	}
}

func TestABackendThatHasNoPlaceIsNotOneThatFoundThePasswordWrong(t *testing.T) {
	f, full, other := newFixture(t), remotetest.NewBackend(t), remotetest.NewBackend(t)
	method := full.Method("full", time.Minute)
	f.use(method, other.Method("other", time.Minute))
	for range cap(method.Asking.UnknownDevices) {
		method.Asking.UnknownDevices <- struct{}{}
	}
	want(t, f.visitor().try("zoe", "x"), http.StatusServiceUnavailable)
}
