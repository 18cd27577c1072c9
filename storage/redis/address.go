package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"
)

// CheckAddress returns an error if [Open] would refuse an address. It does not connect.
// The error quotes nothing of the address, which may have a password.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

// A scheme is the meaning of the scheme of an address.
type scheme struct{ secure, sentinel, unix bool }

var schemes = map[string]scheme{
	"redis": {}, "valkey": {}, "unix": {unix: true},
	"rediss": {secure: true}, "valkeys": {secure: true},
	"redis+sentinel": {sentinel: true}, "valkey+sentinel": {sentinel: true},
	"rediss+sentinel": {secure: true, sentinel: true}, "valkeys+sentinel": {secure: true, sentinel: true},
}

// Errors about an address do not quote it, since any part that cannot be parsed may be
// a part of the password.
var (
	errAddress = errors.New("it cannot be parsed")
	errScheme  = errors.New("unknown scheme; use one of redis, rediss, valkey, valkeys, unix, redis+sentinel, " +
		"rediss+sentinel, valkey+sentinel, valkeys+sentinel")
	errParameter = errors.New("it has an unknown or a repeated parameter; use addr, db, skip_verify, and for Sentinel " +
		"sentinel_user and sentinel_password")
	errHost     = errors.New("a host or port in it cannot be parsed; ports are 1 to 65535")
	errDatabase = errors.New("its database is no number such as 0 or 15")
	errMaster   = errors.New("it does not name the master; write redis+sentinel://host1,host2,host3/mymaster")
	errCluster  = errors.New("with several hosts no database can be chosen, since a cluster has only one; leave the database out")
	errSocket   = errors.New("a socket needs an absolute path, as in unix:///run/redis.sock")
	errVerify   = errors.New("its skip_verify is neither true nor false")
)

// parseAddress reads an address in the forms that [Open] documents.
func parseAddress(address string) (rueidis.ClientOption, error) {
	option, err := parse(address)
	if err != nil {
		return rueidis.ClientOption{}, fmt.Errorf("parsing the redis address: %w (the form is redis://user:password@host:port/database, "+
			"with special characters of user and password percent-encoded)", err)
	}
	return option, nil
}

func parse(address string) (o rueidis.ClientOption, err error) {
	name, rest, ok := strings.Cut(address, "://")
	if !ok {
		return o, errAddress
	}
	kind, ok := schemes[name]
	if !ok {
		return o, errScheme
	}
	// net/url accepts only one host, so the hosts are parsed here.
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	u, err := url.Parse("redis://" + rest[:at] + "host" + rest[end:])
	if err != nil || u.Fragment != "" {
		return o, errAddress
	}
	query, err := parameters(u.RawQuery, kind)
	if err != nil {
		return o, err
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	if kind.unix {
		return o, unixSocket(&o, rest[at:end], u.Path, query)
	}
	if o.InitAddress, err = hosts(append(strings.Split(rest[at:end], ","), query["addr"]...), kind); err != nil {
		return o, err
	}
	path := strings.TrimPrefix(u.Path, "/")
	if kind.sentinel {
		o.Sentinel.MasterSet, path, _ = strings.Cut(path, "/")
		o.Sentinel.Username, o.Sentinel.Password = query.Get("sentinel_user"), query.Get("sentinel_password")
		if o.Sentinel.MasterSet == "" {
			return o, errMaster
		}
	}
	if o.SelectDB, err = database(path, query); err != nil {
		return o, err
	}
	if o.SelectDB != 0 && len(o.InitAddress) > 1 && !kind.sentinel {
		return o, errCluster
	}
	if kind.secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if query.Has("skip_verify") {
			o.TLSConfig.InsecureSkipVerify, err = strconv.ParseBool(cmp.Or(query.Get("skip_verify"), "true"))
		}
	}
	if err != nil {
		return o, errVerify
	}
	return o, nil
}

// parameters parses the query of an address.
func parameters(raw string, kind scheme) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errAddress
	}
	for name, values := range query {
		switch name {
		case "addr":
			if !kind.unix {
				continue
			}
		case "db", "skip_verify":
			if len(values) == 1 {
				continue
			}
		case "sentinel_user", "sentinel_password":
			if kind.sentinel && len(values) == 1 {
				continue
			}
		}
		return nil, errParameter
	}
	return query, nil
}

// unixSocket parses the address of a socket.
func unixSocket(o *rueidis.ClientOption, host, path string, query url.Values) (err error) {
	if host != "" && host != "localhost" || path == "" || path == "/" {
		return errSocket
	}
	o.InitAddress = []string{strings.TrimSpace(path)}
	o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return d.DialContext(ctx, "unix", addr)
	}
	o.SelectDB, err = database("", query)
	return err
}

// hosts adds the default port to hosts without a port. If the only host is empty, it is
// localhost.
func hosts(listed []string, kind scheme) ([]string, error) {
	port := defaultPort
	if kind.sentinel {
		port = defaultSentinelPort
	}
	addrs := make([]string, len(listed))
	for i, host := range listed {
		u, err := url.Parse("//" + host)
		if err != nil || u.Host != host || u.User != nil {
			return nil, errHost
		}
		name, given := u.Hostname(), u.Port()
		if name == "" && len(listed) > 1 {
			return nil, errHost
		}
		if given == "" {
			given = port
		}
		if n, err := strconv.ParseUint(given, 10, 16); err != nil || n == 0 {
			return nil, errHost
		}
		if name == "" {
			name = "localhost"
		}
		addrs[i] = net.JoinHostPort(name, given)
	}
	return addrs, nil
}

// database parses the number of a database, from the path or from the parameter db.
func database(path string, query url.Values) (int, error) {
	if path != "" && query.Has("db") {
		return 0, errDatabase
	}
	if query.Has("db") {
		path = query.Get("db")
	} else if path == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(path, 10, 31)
	if err != nil {
		return 0, errDatabase
	}
	return int(n), nil
}
