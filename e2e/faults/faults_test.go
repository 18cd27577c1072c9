package faults

import (
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/storage/redistest"
)

func TestMain(m *testing.M) { harness.Main(m) }

// lasts is how long a fault lasts; `make faults` gives it longer.
func lasts(t *testing.T) time.Duration {
	d, err := time.ParseDuration(os.Getenv("SSO_FAULT"))
	if err != nil {
		return 3 * time.Second
	}
	t.Logf("faults last %s", d)
	return d
}

// A scene is two nodes on a Redis behind a proxy. Some people are known to the
// first node, others to the second alone.
type scene struct {
	*harness.Pair
	redis *redistest.Server
	proxy *Proxy

	known, unknown []*harness.Client
}

const people = 5

func newScene(t *testing.T) *scene {
	t.Helper()
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always",
		"--enable-debug-command", "yes", "--busy-reply-threshold", "1", "--loading-process-events-interval-bytes", "1024")
	proxy := StartProxy(t, redis.Addr())
	s := &scene{redis: redis, proxy: proxy}
	s.Pair = harness.StartPair(t, harness.Standard(t, harness.NewBackend(t).Addr), proxy.URL())
	for range people {
		s.known = append(s.known, s.signedIn(t, 0))
		s.unknown = append(s.unknown, s.signedIn(t, 1))
	}
	for _, browser := range s.unknown {
		s.Lead(browser, 0)
	}
	return s
}

func (s *scene) signedIn(t *testing.T, node int) *harness.Client {
	t.Helper()
	browser := harness.NewClient(t)
	s.Lead(browser, node)
	browser.SignIn(s.Gate+"/", harness.Demo)
	return browser
}

// faults are what befalls the store, and what ends it.
var faults = map[string]struct{ begin, end func(*scene) }{
	"it is killed":   {func(s *scene) { s.redis.Kill() }, func(s *scene) { s.redis.Restart() }},
	"it hangs":       {func(s *scene) { s.redis.Freeze() }, func(s *scene) { s.redis.Thaw() }},
	"it is busy":     {busy, func(s *scene) { s.redis.MustCommand("SCRIPT", "KILL") }},
	"it loads":       {loading, func(s *scene) { s.redis.MustCommand("CONFIG", "SET", "key-load-delay", "0") }},
	"it is replaced": {func(s *scene) { s.redis.KillConnections() }, func(*scene) {}},

	"connections are closed":   {become(Closes), become(Passes)},
	"connections are silent":   {become(Swallows), become(Passes)},
	"connections are unsteady": {become(Trembles), become(Passes)},
}

func become(l Line) func(*scene) { return func(s *scene) { s.proxy.Become(l) } }

func busy(s *scene) {
	go func() { _, _ = s.redis.Command("EVAL", "while true do end", "0") }() // until it is killed
}

func loading(s *scene) {
	s.redis.MustCommand("DEBUG", "POPULATE", "20000")
	s.redis.MustCommand("CONFIG", "SET", "key-load-delay", "1000")
	go func() { _, _ = s.redis.Command("DEBUG", "RELOAD") }() // until the delay ends
}

// Whatever befalls the store, whoever a node knows goes on, whoever it does not
// know keeps their cookie, and nobody else gets in.
func TestAFaultOfTheStoreSignsNobodyOutAndLetsNobodyIn(t *testing.T) {
	d := lasts(t)
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			page := s.Gate + "/"
			stranger := harness.NewClient(t)
			s.Lead(stranger, 0)
			before := load(s.known, page, time.Second)
			before.only(t, "the known, before", http.StatusOK)

			fault.begin(s)
			var known, unknown, strangers *Answers
			var during sync.WaitGroup
			during.Go(func() { known = load(s.known, page, d) })
			during.Go(func() { unknown = load(s.unknown, page, d) })
			during.Go(func() { strangers = load([]*harness.Client{stranger}, page, d) })
			during.Wait()
			fault.end(s)

			known.only(t, "the known", http.StatusOK)
			unknown.only(t, "the unknown", http.StatusOK, http.StatusServiceUnavailable)
			strangers.only(t, "a stranger", http.StatusUnauthorized)
			t.Logf("known: %s, p99 %s, %.1f times that of before; unknown: %s, p99 %s",
				known, known.p99(), float64(known.p99())/float64(before.p99()), unknown, unknown.p99())

			harness.Eventually(t, "the unknown are known again", func() bool {
				for _, browser := range s.unknown {
					if browser.Fetch(page).Status != http.StatusOK {
						return false
					}
				}
				return true
			})
			load(s.known, page, time.Second).only(t, "the known, after", http.StatusOK)
		})
	}
}
