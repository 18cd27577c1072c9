package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/redis/rueidis"
)

// errAddress says nothing of what was wrong: any part of an address that
// cannot be parsed may be part of its password.
var errAddress = errors.New("cannot be parsed; it looks like redis://user:password@host:port, with " +
	"special characters of user and password percent-encoded")

// CheckAddress says whether [Open] takes an address, without connecting. The
// error holds nothing of the address, which may have a password in it.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

// parseAddress reads an address in the forms that [Open] documents.
func parseAddress(address string) (rueidis.ClientOption, error) {
	var none rueidis.ClientOption
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return none, fmt.Errorf("parsing the redis address: %w", errAddress)
	}
	switch scheme {
	case "redis", "rediss", "valkey", "valkeys", "unix":
	default:
		return none, errors.New("parsing the redis address: its scheme is none of redis, rediss, valkey, valkeys, unix")
	}
	// net/url takes one host, so the others become parameters.
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := strings.Split(rest[at:end], ",")
	u, err := url.Parse(scheme + "://" + rest[:at] + hosts[0] + rest[end:])
	if err != nil || u.Fragment != "" || scheme == "unix" && (u.Path == "" || len(hosts) > 1) {
		return none, fmt.Errorf("parsing the redis address: %w", errAddress)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return none, fmt.Errorf("parsing the redis address: %w", errAddress)
	}
	for name := range query {
		if name != "addr" && name != "db" && name != "skip_verify" {
			return none, errors.New("parsing the redis address: it has a parameter other than addr, db and skip_verify")
		}
	}
	for _, host := range hosts[1:] {
		if host == "" {
			return none, fmt.Errorf("parsing the redis address: %w", errAddress)
		}
		query.Add("addr", withPort(host))
	}
	u.RawQuery = query.Encode()
	option, err := rueidis.ParseURL(u.String())
	if err != nil {
		return none, fmt.Errorf("parsing the redis address: %w", errAddress)
	}
	if option.SelectDB != 0 && len(option.InitAddress) > 1 {
		return none, errors.New("parsing the redis address: a cluster has no databases to choose from")
	}
	return option, nil
}

// withPort adds the default port: rueidis would take a bare host for the port.
func withPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host
	}
	return host + ":6379"
}

// A dialError is one that came before anything was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// clientOption completes what parseAddress read with what the store relies on.
func (s *Store) clientOption(option rueidis.ClientOption) rueidis.ClientOption {
	option.Dialer.Timeout = s.options.DialTimeout
	option.ConnWriteTimeout = s.options.Timeout
	option.ClientName = "caddy-sso"
	// Broadcast tracking: the server pushes every changed key with our prefix.
	// DisableCache would silence the callback; nothing is cached by rueidis,
	// since Get uses Do. More than one connection would repeat every message.
	option.ClientTrackingOptions = []string{"PREFIX", s.options.Prefix, "BCAST"}
	option.DisableCache = false
	option.PipelineMultiplex = -1
	option.OnInvalidations = s.invalidated
	// What may be repeated is decided in attempt.go.
	option.DisableRetry = true
	option.ClusterOption.ShardsRefreshInterval = topologyInterval
	network := "tcp"
	if option.DialCtxFn != nil { // ParseURL sets it for unix sockets alone
		network = "unix"
	}
	option.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
		return s.dial(ctx, network, addr, d, c)
	}
	return option
}

// dial connects for rueidis. The attempt ends with the store.
func (s *Store) dial(ctx context.Context, network, addr string, dialer *net.Dialer, secure *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	var conn net.Conn
	var err error
	if secure != nil {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: secure}).DialContext(ctx, network, addr)
	} else {
		conn, err = dialer.DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, dialError{err}
	}
	return s.lines.add(conn, addr), nil
}
