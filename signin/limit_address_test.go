package signin

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
)

func TestClass24OneAddressDoesNotHoldAllPlacesOfAProvider(t *testing.T) {
	f := newAtProvider(t)
	f.hosted.From = func(r *http.Request) oauth.Origin { return oauth.Origin(r.Header.Get("X-From")) }
	let := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(let) })
	t.Cleanup(goOn)
	f.provider.set(func() {
		f.provider.handle["/token"] = func(w http.ResponseWriter, _ *http.Request) {
			<-let
			refuses(http.StatusBadRequest, "invalid_grant")(w, "")
		}
	})
	// answers is a browser that left for the provider, and its way back.
	answers := func(from string) func() *httptest.ResponseRecorder {
		t.Helper()
		b := f.visitor()
		state := f.leaves(b).Get("state")
		return func() *httptest.ResponseRecorder {
			return b.do("GET", CallbackPrefix+"acme?code=garbage&state="+state, nil, "X-From", from)
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
	for range maxPerAddress {
		inFlight("192.0.2.1", n)
		n++
	}
	first := fillLine(t, &f.hosted.returning, "acme 192.0.2.1", maxPerAddress)
	busy("192.0.2.1")
	busy("::ffff:192.0.2.1")
	inFlight("192.0.2.2", n)
	n++
	for i := range maxPerAddress {
		inFlight(fmt.Sprintf("2001:db8::%d", i), n)
		n++
	}
	second := fillLine(t, &f.hosted.returning, "acme 2001:db8::/64", maxPerAddress)
	busy("2001:db8::ffff")
	inFlight("2001:db8:0:1::1", n)

	first()
	second()
	goOn()
	all.Wait()
	want(t, answers("192.0.2.1")(), http.StatusBadGateway)
	if f.hosted.returning.count() != 0 {
		t.Errorf("%d are left", f.hosted.returning.count())
	}
}

func TestOneWayDoesNotKeepAnAddressFromAnother(t *testing.T) {
	var l lines
	defer fillLine(t, &l, "acme 192.0.2.1", maxPerAddress)()
	if _, err := l.enter(t.Context(), "acme 192.0.2.1", maxPerAddress, maxWaitingPerAddress); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := l.enter(t.Context(), "umbrella 192.0.2.1", maxPerAddress, maxWaitingPerAddress); err != nil {
		t.Error("the other way is full, too:", err)
	}
}

func TestAnOfficeSignsInAtOnce(t *testing.T) {
	f, b := newFixture(t), newOwnBackend(t)
	f.use(f.hosted.Methods[0], b.way("accounts", time.Minute))
	const people = 3 * maxPerAddress
	let := make(chan struct{})
	var asked, beyond atomic.Int32
	b.answers(func(w http.ResponseWriter, _ *http.Request) {
		if int(asked.Add(1)) > turnsPerAddress() {
			beyond.Add(1)
		}
		<-let
		asked.Add(-1)
		io.WriteString(w, `{"user":{"subject":"17"}}`) //nolint:errcheck // the test sees it
	})
	var all sync.WaitGroup
	for i := range people {
		v := f.visitor()
		in := v.form(v.open(SignInPath))
		all.Go(func() {
			if w := v.submit(in, fmt.Sprint("colleague ", i), "right"); w.Code != http.StatusOK {
				t.Errorf("status %d", w.Code)
			}
		})
	}
	addresses := &f.hosted.turns.addresses
	until(t, func() bool { return addresses.here(string(f.from)) == people })
	close(let)
	all.Wait()
	if beyond.Load() > 0 || addresses.here(string(f.from)) != 0 {
		t.Errorf("%d were asked about beside as many as may be, and %d are left", beyond.Load(), addresses.here(string(f.from)))
	}
}

// fillLine fills the places of an address, and those to wait in.
func fillLine(t *testing.T, l *lines, kind string, places int) (disperse func()) {
	t.Helper()
	full := places + maxWaitingPerAddress
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range full - l.here(kind) {
		all.Go(func() {
			if leave, err := l.enter(ctx, kind, places, maxWaitingPerAddress); err == nil {
				<-ctx.Done()
				leave()
			}
		})
	}
	until(t, func() bool { return l.here(kind) == full })
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
	f, b := newFixture(t), newOwnBackend(t)
	method := b.way("accounts", time.Minute)
	f.use(f.hosted.Methods[0], method)
	let := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(let) })
	t.Cleanup(goOn)
	var from atomic.Value
	from.Store(f.from)
	f.hosted.From = func(*http.Request) oauth.Origin { return from.Load().(oauth.Origin) }
	owner := f.visitor()
	b.says(http.StatusOK, `{"user":{"subject":"17","name":"zoe"}}`)
	want(t, owner.try("zoe", "right"), http.StatusOK)
	b.answers(func(w http.ResponseWriter, _ *http.Request) {
		<-let
		io.WriteString(w, `{"user":{"subject":"17","name":"zoe"}}`) //nolint:errcheck // the test sees it
	})
	var all sync.WaitGroup
	waiting := 0
	asks := func(v *visitor, address oauth.Origin, name string) {
		t.Helper()
		from.Store(address)
		in := v.form(v.open(SignInPath + "?switch=1"))
		all.Go(func() {
			if w := v.submit(in, name, "right"); w.Code != http.StatusOK {
				t.Errorf("%s from %s: %d", name, address, w.Code)
			}
		})
		waiting++
		until(t, func() bool { return len(method.asking.cores) == waiting })
	}
	for i := range turnsPerAddress() {
		asks(f.visitor(), "192.0.2.1", fmt.Sprint("colleague ", i))
	}
	disperse := fillLine(t, &f.hosted.turns.addresses, "192.0.2.1", turnsPerAddress())
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
	if left := f.hosted.turns.addresses.count() + f.hosted.turns.accounts.count(); left != 0 {
		t.Errorf("%d are left", left)
	}
}

func TestABackendThatHasNoPlaceIsNotOneThatFoundThePasswordWrong(t *testing.T) {
	f, full, other := newFixture(t), newOwnBackend(t), newOwnBackend(t)
	method := full.way("full", time.Minute)
	f.use(method, other.way("other", time.Minute))
	for range cap(method.asking.unknownDevices) {
		method.asking.unknownDevices <- struct{}{}
	}
	want(t, f.visitor().try("zoe", "x"), http.StatusServiceUnavailable)
}
