package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

var (
	refresher = harness.User{Name: "rey", Password: "patient lamp", Email: "rey@example.com"}
	newcomers = []harness.User{
		{Name: "new1", Password: "first door"}, {Name: "new2", Password: "second door"}, {Name: "new3", Password: "third door"},
	}
)

// A store is what the nodes keep everything in, and what fails.
type store struct {
	url    string
	redis  *redistest.Server   // the server, or the master of some
	others []*redistest.Server // its replicas, or the other masters of a cluster
	proxy  *Proxy              // before the server, or before its replica

	sentinels *redistest.Sentinels
	undo      func() // ends the fault, where it is for the fault to say
}

// On disk, so that what was there is there again.
var onDisk = []string{"--appendonly", "yes", "--appendfsync", "always"}

// one is a server behind a proxy.
func one(t *testing.T) *store {
	t.Helper()
	redis := redistest.Start(t, append([]string{
		"--enable-debug-command", "yes", "--busy-reply-threshold", "1",
		"--loading-process-events-interval-bytes", "1024",
	}, onDisk...)...)
	proxy := StartProxy(t, redis.Addr())
	return &store{redis: redis, proxy: proxy, url: proxy.URL()}
}

// watched are a master and a replica that Sentinels watch over.
func watched(t *testing.T) *store {
	t.Helper()
	master, replica := redistest.Start(t), redistest.Start(t)
	replica.Follow(master)
	sentinels := redistest.StartSentinels(t, master, 1)
	return &store{redis: master, others: []*redistest.Server{replica}, sentinels: sentinels, url: sentinels.URL()}
}

// behind are a master and a replica that gets everything late.
func behind(t *testing.T) *store {
	t.Helper()
	master, replica := redistest.Start(t), redistest.Start(t)
	proxy := StartProxy(t, master.Addr())
	host, port, _ := strings.Cut(proxy.Addr(), ":")
	replica.MustCommand("REPLICAOF", host, port)
	harness.Eventually(t, "the replica follows", func() bool {
		reply := replica.MustCommand("INFO", "replication")
		text, err := reply.ToString()
		return err == nil && strings.Contains(text, "master_link_status:up")
	})
	proxy.Become(Lags)
	return &store{redis: master, others: []*redistest.Server{replica}, proxy: proxy, url: master.URL() + "," + replica.Addr()}
}

// cluster are three masters, which go on if one of them is away.
func cluster(t *testing.T) *store {
	t.Helper()
	c := redistest.StartCluster(t, append([]string{"--cluster-require-full-coverage", "no"}, onDisk...)...)
	return &store{redis: c.Servers[1], others: []*redistest.Server{c.Servers[0], c.Servers[2]}, url: c.URL()}
}

// covered are three masters, of which one has a replica.
func covered(t *testing.T) *store {
	t.Helper()
	c := redistest.StartCluster(t)
	return &store{redis: c.Servers[1], others: []*redistest.Server{c.AddReplica(t, c.Servers[1])}, url: c.URL()}
}

// A scene is two nodes on a store, and people.
type scene struct {
	*harness.Pair
	*store
	crowd

	signedOut bool // the owners did
}

func newScene(t *testing.T, start func(*testing.T) *store) *scene {
	t.Helper()
	s := &scene{store: start(t)}
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	c.Users = slices.Concat(c.Users, []harness.User{refresher}, newcomers, visitors)
	if strings.Contains(s.url, "://") {
		s.Pair = harness.StartPair(t, c, s.url)
	} else {
		s.Pair = harness.StartAlone(t, c, s.url)
	}
	s.gather(t)
	return s
}

// A gauge is what the first node says of itself.
type gauge struct {
	Known effects `json:"known"`
}

// effects are what interruptions of the store came to, for what the node knows.
type effects struct {
	Interruptions uint64 `json:"interruptions"`
	Unchecked     uint64 `json:"unchecked"`
	Waited        uint64 `json:"waited"`
	TimedOut      uint64 `json:"timed_out"`
	Pending       int    `json:"pending"`
}

func (s *scene) gauge(t *testing.T) (g gauge) {
	t.Helper()
	s.Nodes[0].Admin("/sso/storage").JSON(t, &g)
	return g
}

// goroutines is how many the first node has.
func (s *scene) goroutines(t *testing.T) int {
	t.Helper()
	return number(t, s.Nodes[0].Admin("/debug/pprof/goroutine?debug=1").Body, "goroutine profile: total ")
}

// number is what follows a text.
func number(t *testing.T, in, text string) int {
	t.Helper()
	_, rest, _ := strings.Cut(in, text)
	digits, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(digits))
	if err != nil {
		t.Fatalf("no number follows %q: %v", text, err)
	}
	return n
}

// A run is what a load came to.
type run struct {
	answers    map[who]*Answers
	goroutines int // the most that there were
	counts     effects
}

// run has a load while something happens to the store.
func (s *scene) run(t *testing.T, d time.Duration, begin func(*testing.T, *scene)) run {
	t.Helper()
	before := s.gauge(t).Known
	begin(t, s)
	done := make(chan map[who]*Answers)
	go func() { done <- s.load(t, d) }()
	r := run{}
	for r.answers == nil {
		select {
		case r.answers = <-done:
		case <-time.After(100 * time.Millisecond):
			r.goroutines = max(r.goroutines, s.goroutines(t))
		}
	}
	after := s.gauge(t).Known
	r.counts = effects{
		Interruptions: after.Interruptions - before.Interruptions, Unchecked: after.Unchecked - before.Unchecked,
		Waited: after.Waited - before.Waited, TimedOut: after.TimedOut - before.TimedOut, Pending: after.Pending,
	}
	return r
}

// against prints a run in times of one without a fault.
func (r run) against(t *testing.T, quiet run, name string) {
	t.Helper()
	ratio := func(a, b float64) string {
		if b == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", a/b)
	}
	t.Logf("%s\n  known sessions: p99 %s, %s times; goroutines: %d, %s times; served unchecked %d, waited in vain %d, timed out %d, interruptions %d",
		name, r.answers[known].p99(), ratio(float64(r.answers[known].p99()), float64(quiet.answers[known].p99())),
		r.goroutines, ratio(float64(r.goroutines), float64(quiet.goroutines)),
		r.counts.Unchecked, r.counts.Waited, r.counts.TimedOut, r.counts.Interruptions)
	for _, w := range []who{known, tokens, unknown, newcomer, refresh, revoked, anonymous} {
		if a := r.answers[w]; a != nil {
			t.Logf("  %-16s %s; p99 %s", w, a, a.p99())
		}
	}
}
