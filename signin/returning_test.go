package signin

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

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
	busy("192.0.2.1")
	busy("::ffff:192.0.2.1")
	inFlight("192.0.2.2", n)
	n++
	for i := range maxPerAddress {
		inFlight(fmt.Sprintf("2001:db8::%d", i), n)
		n++
	}
	busy("2001:db8::ffff")
	inFlight("2001:db8:0:1::1", n)

	goOn()
	all.Wait()
	want(t, answers("192.0.2.1")(), http.StatusBadGateway)
	if len(f.hosted.returning.at) != 0 {
		t.Errorf("%v is left", f.hosted.returning.at)
	}
}

func TestOneWayDoesNotKeepAnAddressFromAnother(t *testing.T) {
	var c perAddress
	for range maxPerAddress {
		if _, ok := c.enter("acme", "192.0.2.1"); !ok {
			t.Fatal("refused")
		}
	}
	if _, ok := c.enter("acme", "192.0.2.1"); ok {
		t.Error("one too many")
	}
	if _, ok := c.enter("umbrella", "192.0.2.1"); !ok {
		t.Error("the other way is full, too")
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
	for range 2 * f.hosted.Limits.PerAccount { // none of which is an attempt
		w := f.visitor().try("zoe", "x")
		want(t, w, http.StatusServiceUnavailable)
		wantText(t, w, "Many people are signing in right now")
	}
	asks("192.0.2.1", true)
	asks("192.0.2.2", false)
	want(t, f.visitor().try("demo", "demo password"), http.StatusOK)
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
	for range maxPerAddress {
		way.from.enter("", string(f.from))
	}
	want(t, f.visitor().try("zoe", "x"), http.StatusServiceUnavailable)
}
