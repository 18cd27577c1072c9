package harness

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A Pair is two nodes behind one address: they listen on ports of their own, on
// one store.
type Pair struct {
	*Caddyfile
	Nodes [2]Node
}

// A Node is one of them.
type Node struct {
	*Server
	Portal, Gate string // host:port
}

const storageKey = "a-storage-key-of-these-tests-0123456789"

// OnRedis is the storage in a Redis or Valkey.
func OnRedis(address string) string {
	return fmt.Sprintf("redis %s {\nstorage_key %s\n}", address, storageKey)
}

// StartPair starts two nodes of a configuration on a Redis, the first of them
// first: it makes the keys. Each has the option of its place, if there is one.
func StartPair(tb testing.TB, c *Caddyfile, redis string, each ...func(*Server)) *Pair {
	tb.Helper()
	return StartPairOf(tb, c, redis, func(int, *Caddyfile) {}, each...)
}

// StartPairOf is StartPair of nodes that differ: vary changes the configuration of
// a node.
func StartPairOf(tb testing.TB, c *Caddyfile, redis string, vary func(node int, own *Caddyfile), each ...func(*Server)) *Pair {
	tb.Helper()
	p := &Pair{Caddyfile: c}
	c.Storage = OnRedis(redis)
	for i := range p.Nodes {
		own := *c
		n := &p.Nodes[i]
		n.Portal, n.Gate = fmt.Sprintf("localhost:%d", Port(tb)), fmt.Sprintf("localhost:%d", Port(tb))
		own.Admin = fmt.Sprintf("127.0.0.1:%d", Port(tb))
		own.PortalSite, own.GateSite = "http://"+n.Portal, "http://"+n.Gate
		vary(i, &own)
		n.Server = Start(tb, own.String(), each[min(i, len(each)):min(i+1, len(each))]...)
	}
	return p
}

// StartAlone starts one node on a file, which is in both places of a pair.
func StartAlone(tb testing.TB, c *Caddyfile, file string) *Pair {
	tb.Helper()
	c.Storage = "file " + file
	n := Node{Server: Start(tb, c.String()), Portal: host(c.Portal), Gate: host(c.Gate)}
	return &Pair{Caddyfile: c, Nodes: [2]Node{n, n}}
}

// Lead leads a client to a node.
func (p *Pair) Lead(c *Client, node int) {
	c.Route(host(p.Portal), p.Nodes[node].Portal, host(p.Gate), p.Nodes[node].Gate)
}

func host(origin string) string { return strings.TrimPrefix(origin, "http://") }

// A Balancer stands at the public addresses of a pair, and gives every request to
// the other node than the one before.
type Balancer struct {
	mu    sync.Mutex
	next  int
	taken [][2]string // node and path, in order
}

// Balance starts one. It ends with the test.
func (p *Pair) Balance(tb testing.TB) *Balancer {
	tb.Helper()
	first, second := p.Nodes[0], p.Nodes[1]
	return Balance(tb, map[string][2]string{
		p.Portal: {first.Portal, second.Portal}, p.Gate: {first.Gate, second.Gate},
	})
}

// Balance starts a balancer at public origins, each of which is at these two
// addresses.
func Balance(tb testing.TB, sites map[string][2]string) *Balancer {
	tb.Helper()
	b := new(Balancer)
	for origin, addrs := range sites {
		var proxies [2]*httputil.ReverseProxy
		for i, addr := range addrs {
			to := &url.URL{Scheme: "http", Host: addr}
			proxies[i] = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(to)
				r.Out.Host = r.In.Host
				r.SetXForwarded()
			}}
		}
		l, err := net.Listen("tcp", host(origin))
		if err != nil {
			tb.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // of this machine alone
			proxies[b.turn(r.URL.Path)].ServeHTTP(w, r)
		})}
		go func() { _ = server.Serve(l) }() // until it is closed
		tb.Cleanup(func() { _ = server.Close() })
	}
	return b
}

func (b *Balancer) turn(path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	node := b.next
	b.next = 1 - node
	b.taken = append(b.taken, [2]string{fmt.Sprint(node), path})
	return node
}

// WantBoth fails the test unless each node took requests.
func (b *Balancer) WantBoth(tb testing.TB) {
	tb.Helper()
	for node := range 2 {
		if len(b.Took(node)) == 0 {
			tb.Errorf("node %d took no request", node)
		}
	}
}

// StartAt has the next request go to a node.
func (b *Balancer) StartAt(node int) {
	b.mu.Lock()
	b.next = node
	b.taken = nil
	b.mu.Unlock()
}

// Took says which requests a node has got since StartAt.
func (b *Balancer) Took(node int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var paths []string
	for _, t := range b.taken {
		if t[0] == fmt.Sprint(node) {
			paths = append(paths, t[1])
		}
	}
	return paths
}
