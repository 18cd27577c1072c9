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

	"github.com/caddy-sso/caddy-sso/attempts"
	"github.com/caddy-sso/caddy-sso/oauth"
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
		for deadline := time.Now().Add(10 * time.Second); len(f.acme.finishing) != others+1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("from %s: %d wait for the provider, not %d", from, len(f.acme.finishing), others+1)
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
	first := f.hosted.returning.crowd(t, "acme", "192.0.2.1")
	busy("192.0.2.1")
	busy("::ffff:192.0.2.1")
	inFlight("192.0.2.2", n)
	n++
	for i := range maxPerAddress {
		inFlight(fmt.Sprintf("2001:db8::%d", i), n)
		n++
	}
	second := f.hosted.returning.crowd(t, "acme", "2001:db8::ffff")
	busy("2001:db8::ffff")
	inFlight("2001:db8:0:1::1", n)

	first()
	second()
	goOn()
	all.Wait()
	want(t, answers("192.0.2.1")(), http.StatusBadGateway)
	if len(f.hosted.returning.at) != 0 {
		t.Errorf("%v is left", f.hosted.returning.at)
	}
}

func TestOneWayDoesNotKeepAnAddressFromAnother(t *testing.T) {
	var c perAddress
	defer c.crowd(t, "acme", "192.0.2.1")()
	if _, err := c.enter(t.Context(), "acme", "192.0.2.1"); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := c.enter(t.Context(), "umbrella", "192.0.2.1"); err != nil {
		t.Error("the other way is full, too:", err)
	}
}

func TestAnOfficeSignsInAtOnce(t *testing.T) {
	f, b := newFixture(t), newOwnBackend(t)
	f.use(f.hosted.Ways[0], b.way("accounts", time.Minute))
	const people = 3 * maxPerAddress
	let := make(chan struct{})
	var asked, beyond atomic.Int32
	b.answers(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > maxPerAddress {
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
	way := f.hosted.Ways[1].(*Backend)
	until(t, func() bool { return way.from.here("", string(f.from)) == people })
	close(let)
	all.Wait()
	if beyond.Load() > 0 || way.from.here("", string(f.from)) != 0 {
		t.Errorf("%d were asked about beside as many as may be, and %d are left", beyond.Load(), way.from.here("", string(f.from)))
	}
}

// crowd fills the places of an address, and those to wait in.
func (c *perAddress) crowd(t *testing.T, way, address string) (disperse func()) {
	t.Helper()
	const full = maxPerAddress + maxWaitingPerAddress
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range full - c.here(way, address) {
		all.Go(func() {
			if leave, err := c.enter(ctx, way, address); err == nil {
				<-ctx.Done()
				leave()
			}
		})
	}
	until(t, func() bool { return c.here(way, address) == full })
	return func() {
		cancel()
		all.Wait()
	}
}

// here counts those with a place, and those who wait for one.
func (c *perAddress) here(way, address string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.at[way+" "+attempts.Network(address)]; p != nil {
		return p.here
	}
	return 0
}

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
	way := b.way("accounts", time.Minute)
	f.use(f.hosted.Ways[0], way)
	let := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(let) })
	t.Cleanup(goOn)
	b.answers(func(w http.ResponseWriter, _ *http.Request) {
		<-let
		io.WriteString(w, `{"user":{"subject":"17","name":"zoe"}}`) //nolint:errcheck // the test sees it
	})
	var all sync.WaitGroup
	waiting := 0
	asks := func(from oauth.Origin, known bool) {
		t.Helper()
		all.Go(func() {
			if _, err := way.Check(t.Context(), Credentials{Name: "zoe", Password: "x", From: from, Known: known}); err != nil {
				t.Errorf("from %s: %v", from, err)
			}
		})
		waiting++
		for deadline := time.Now().Add(10 * time.Second); len(way.asking.cores) != waiting; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("from %s: %d wait for the backend, not %d", from, len(way.asking.cores), waiting)
			}
		}
	}
	for range maxPerAddress {
		asks("192.0.2.1", false)
	}
	disperse := way.from.crowd(t, "", "192.0.2.1")
	for range 2 * f.hosted.Limits.PerAccount { // none of which is an attempt
		w := f.visitor().try("zoe", "x")
		want(t, w, http.StatusServiceUnavailable)
		wantText(t, w, "Many people are signing in right now")
	}
	asks("192.0.2.1", true)
	asks("192.0.2.2", false)
	want(t, f.visitor().try("demo", "demo password"), http.StatusOK)
	disperse()
	goOn()
	all.Wait()
	want(t, f.visitor().try("zoe", "x"), http.StatusOK)
	if len(way.from.at) != 0 {
		t.Errorf("%v is left", way.from.at)
	}
}

func TestABackendThatHasNoPlaceIsNotOneThatFoundThePasswordWrong(t *testing.T) {
	f, full, other := newFixture(t), newOwnBackend(t), newOwnBackend(t)
	way := full.way("full", time.Minute)
	f.use(way, other.way("other", time.Minute))
	defer way.from.crowd(t, "", string(f.from))()
	want(t, f.visitor().try("zoe", "x"), http.StatusServiceUnavailable)
}
