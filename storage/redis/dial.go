package redis

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"

	"github.com/redis/rueidis"
)

// A dialError is an error before any command was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// clientOption adds to a parsed address the options that the store depends on.
func (s *Store) clientOption(option rueidis.ClientOption) rueidis.ClientOption {
	option.Dialer = net.Dialer{Timeout: s.options.DialTimeout, KeepAlive: rueidis.DefaultTCPKeepAlive}
	option.ConnWriteTimeout = s.options.Timeout
	option.ClientName = clientName
	// Broadcast tracking: the server pushes every changed key with our prefix. Caching
	// must stay enabled, since DisableCache would also disable the callback. rueidis
	// caches nothing, since Get uses Do. With more than one connection each message
	// would arrive several times.
	option.ClientTrackingOptions = []string{"PREFIX", s.options.Prefix, "BCAST"}
	option.DisableCache = false
	option.PipelineMultiplex = -1
	option.OnInvalidations = s.invalidated
	// attempt.go decides what may be sent again.
	option.DisableRetry = true
	option.ClusterOption.ShardsRefreshInterval = topologyInterval
	option.Sentinel.Dialer = option.Dialer
	option.Sentinel.TLSConfig = option.TLSConfig
	option.Sentinel.ClientName = clientName
	option.Sentinel.TopologyRefreshInterval = sentinelInterval
	network := "tcp"
	if option.DialCtxFn != nil { // parseAddress sets it only for Unix sockets
		network = "unix"
	}
	option.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
		conn, err := s.dial(ctx, network, addr, d, c)
		if err != nil {
			return nil, dialError{err}
		}
		return s.conns.add(conn, addr), nil
	}
	return option
}

// newClient connects. If there are several hosts and no cluster, they are a master and
// its replicas, and are used as one address that leads to the master.
func (s *Store) newClient(option rueidis.ClientOption) (rueidis.Client, error) {
	client, err := rueidis.NewClient(option)
	if err == nil || len(option.InitAddress) == 1 || option.Sentinel.MasterSet != "" || !noCluster(err) {
		return client, err
	}
	option.InitAddress, option.ForceSingleClient = []string{strings.Join(option.InitAddress, ",")}, true
	option.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
		conn, err := s.selector.dial(func(host string) (net.Conn, error) { return s.dial(ctx, "tcp", host, d, c) })
		if err != nil {
			return nil, dialError{err}
		}
		return s.conns.add(conn, addr), nil
	}
	return rueidis.NewClient(option)
}

// noCluster reports whether a server answered that it is not part of a cluster, or that
// it does not know the command. A server that denies the command may be part of one.
func noCluster(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && (strings.Contains(answer.Error(), "cluster support disabled") || strings.Contains(answer.Error(), "unknown command"))
}

// dial connects for rueidis. It ends when the store is closed.
func (s *Store) dial(ctx context.Context, network, addr string, dialer *net.Dialer, secure *tls.Config) (conn net.Conn, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	s.dials.wait(ctx, addr)
	defer func() { s.dials.ended(addr, err) }()
	if secure == nil {
		return dialer.DialContext(ctx, network, addr)
	}
	if secure, err = s.options.TLS.config(secure, addr, s.selector.hosts); err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: dialer, Config: secure}).DialContext(ctx, network, addr)
}

// A hostSelector selects the server to dial, if there are several: the one that was last
// reached, until it fails or becomes a replica.
type hostSelector struct {
	hosts []string
	mu    sync.Mutex
	at    int // guarded by mu
}

func (t *hostSelector) host() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hosts[t.at]
}

// skip goes on to the next host, unless another call has done so already.
func (t *hostSelector) skip(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hosts[t.at] == host {
		t.at = (t.at + 1) % len(t.hosts)
	}
}

// dial tries each server at most once.
func (t *hostSelector) dial(dial func(host string) (net.Conn, error)) (conn net.Conn, err error) {
	for range t.hosts {
		host := t.host()
		if conn, err = dial(host); err == nil {
			return conn, nil
		}
		t.skip(host)
	}
	return nil, err
}
