// Package redis is the storage engine for Redis (6.2 or newer) or Valkey, which several
// nodes can share: one server, a master with replicas, Sentinel, or a cluster.
//
// # Failures
//
//   - A failure is never "not found". A server that does not answer, or answers with an
//     error, is [storage.ErrUnavailable]. Get returns it at once if the watchdog finds no
//     readable master for its key, otherwise within Options.Timeout. If one master of a
//     cluster does not answer, reads of other keys go on.
//   - Put is repeated if its connection is lost, so it may be executed twice. Take is
//     repeated, too; if an earlier attempt may have taken the value, a missing value is
//     ErrUnavailable. CompareAndSwap is never sent twice, since a second creation could
//     restore a removed value.
//
// # Roles
//
// Only a master is believed. The watchdog asks each node for its role five times a
// second. A lone server that became a replica counts as down: its connection is closed
// and its address is dialled again every second, so a failover behind one address needs
// no help. Of several hosts the next one is dialled. With Sentinel nothing is dialled
// again, since Sentinel names the new master.
//
// # Changes
//
// The server pushes changes of keys (RESP3 broadcast tracking). If that connection is
// lost, watchers get a Change with Lost at once, and another one when it is back.
//
// # Replies
//
// The client library panics at a reply that no command waits for, at a negative length,
// and at some unexpected replies. So each connection checks both directions first: a
// violation of the protocol ends the connection. A message has strings of at most 64
// MiB, 1048576 elements and 16 levels.
package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/storagefeed"
	"github.com/caddy-sso/caddy-sso/storage"
)

// DefaultPrefix is the default of Options.Prefix.
const DefaultPrefix = "sso:"

const (
	defaultTimeout     = time.Second
	defaultWatchdog    = 200 * time.Millisecond
	defaultDialTimeout = 2 * time.Second

	// topologyInterval is how often a cluster is asked for its nodes if no command was
	// redirected.
	topologyInterval = 10 * time.Second

	// sentinelInterval is how often a Sentinel is asked for the master, in case its
	// message about a new one did not arrive.
	sentinelInterval = 2 * time.Second

	// name of the connections in CLIENT LIST
	clientName = "caddy-sso"
)

// swapScript never creates a key: a missing key reads as false, which equals no
// argument. SETRANGE with an empty string changes nothing, but fails on a replica.
// Otherwise the result would be based on an old value.
const swapScript = `redis.call('SETRANGE', KEYS[1], 0, '')
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

// Options are the options of a [Store]. The zero value is ready to use.
type Options struct {
	// Prefix is the beginning of every key, so that several stores can share a
	// database. No prefix may begin with another one. Default: [DefaultPrefix].
	Prefix string

	// TLS has the files for addresses with TLS.
	TLS TLS

	// Wait applies to writes through the store that [Store.Confirmed] returns.
	Wait Wait

	// Unconfirmed is called for each write that too few replicas confirmed in time,
	// with their number and another error, if any. It must not block. Default: no
	// call.
	Unconfirmed func(replicas int64, err error)

	// Timeout is the maximum time of one operation, including retries. Default: 1
	// second.
	Timeout time.Duration

	// Watchdog is how often every node is asked for its role. A lost connection is
	// opened again within this time. Default: 200 milliseconds.
	Watchdog time.Duration

	// DialTimeout is the maximum time to open a connection. Default: 2 seconds.
	DialTimeout time.Duration

	// Logger logs when the connection is lost and when it is back. Default: no log.
	Logger *zap.Logger
}

// A Store is a connection to a server, or to each master of a cluster.
type Store struct {
	options Options
	swap    *rueidis.Lua
	time    *rueidis.Lua
	feed    storagefeed.Feed
	closed  atomic.Bool

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	watchdog sync.WaitGroup

	ready    chan struct{} // closed once redis is set
	redis    rueidis.Client
	tried    chan struct{} // closed once the first attempt to connect failed
	lastFail atomic.Pointer[string]

	selector hostSelector // the next server, if there are several and no cluster
	dials    dials
	conns    openConns
	waiter   waiter
	outage   atomic.Pointer[outage]
	connLost atomic.Bool   // a connection was lost since the watchdog's last turn
	answered atomic.Bool   // a command was answered since the watchdog's last turn
	wake     chan struct{} // starts a turn of the watchdog now

	identities atomic.Pointer[identities] // nil: not known yet
	infoDenied atomic.Bool                // no server allows this user to read its replication ID

	// Used by the watchdog only: when it last cut off a replica, since when each
	// connection to a node has failed, the replication ID of each master, and when a
	// cluster was last asked for the slots.
	redialled      time.Time
	failingSince   map[string]time.Time
	replicationIDs map[string]string
	mapped         time.Time
}

// Open returns a store for the server or cluster at address, which is one of
//
//	redis://[user:password@]host[:port][,host[:port]...][/database]
//	rediss://...   the same over TLS; ?skip_verify for tests
//	unix://[user:password@]/path/to/socket[?db=database]
//	redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/database]
//	rediss+sentinel://...   the same over TLS, to the Sentinels, too
//
// valkey and valkeys are other names of redis and rediss. Further hosts are more nodes
// of a cluster, more servers of which one is the master, or more Sentinels. The
// parameter ?addr=host:port also adds a host. User and password are those of the
// servers. The parameters sentinel_user and sentinel_password are those of the
// Sentinels, if they have any.
//
// Open returns an error only if the address or an option is invalid. It connects in the
// background, and tries until it succeeds. Until then operations return
// [storage.ErrUnavailable].
func Open(address string, o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Watchdog <= 0 {
		o.Watchdog = defaultWatchdog
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = defaultDialTimeout
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if err := Check(address, o); err != nil {
		return nil, err
	}
	parsed, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	s := &Store{
		options:        o,
		selector:       hostSelector{hosts: parsed.InitAddress},
		swap:           rueidis.NewLuaScript(swapScript),
		time:           rueidis.NewLuaScript(timeScript),
		ready:          make(chan struct{}),
		tried:          make(chan struct{}),
		wake:           make(chan struct{}, 1),
		failingSince:   make(map[string]time.Time),
		replicationIDs: make(map[string]string),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	option := s.clientOption(parsed)
	s.watchdog.Go(func() { s.connectAndWatch(option) })
	return s, nil
}

// Check returns an error if [Open] would refuse an address and options. It does not
// connect.
func Check(address string, o Options) error {
	parsed, err := parseAddress(address)
	if err != nil {
		return err
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return err
	}
	if o.Wait != (Wait{}) {
		if err := o.Wait.Check(); err != nil {
			return err
		}
	}
	return o.TLS.check(parsed.TLSConfig != nil)
}

// maxPrefix leaves most of the length of a key to the caller's key.
const maxPrefix = 64

func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf("the prefix of keys has %d bytes; at most %d are allowed", len(prefix), maxPrefix)
	}
	for _, r := range prefix {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("the prefix of keys %q has a character other than ASCII's letters, digits and punctuation", prefix)
		}
	}
	return nil
}

// Get implements [storage.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.usable(ctx); err != nil {
		return nil, false, err
	}
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	reply, _, err := s.attempt(ctx, "reading from redis", key, unlessDown, func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return c.Do(ctx, c.B().Get().Key(s.options.Prefix+key).Build())
	})
	if err != nil {
		return nil, false, err
	}
	return s.value(ctx, "reading from redis", reply)
}

// Put implements [storage.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return s.put(ctx, key, value, lifetime, once)
}

func (s *Store) put(ctx context.Context, key string, value []byte, lifetime time.Duration, send sender) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := storage.CheckWrite(key, value, lifetime); err != nil {
		return err
	}
	text := string(value) // after a timeout the command is still in rueidis' queue
	_, uncertain, err := s.attempt(ctx, "writing to redis", key, always, func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return send(ctx, c, s.options.Prefix+key, func(b rueidis.Builder, name string) rueidis.Completed {
			return b.Set().Key(name).Value(text).PxMilliseconds(milliseconds(lifetime)).Build()
		})
	})
	if err == nil || uncertain {
		s.feed.Send(storage.Change{Key: key})
	}
	return err
}

// Pin implements [storage.Store]. A server with maxmemory-policy noeviction evicts
// nothing. If it is full, it refuses the write.
func (s *Store) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return s.Put(ctx, key, value, lifetime)
}

// Take implements [storage.Store].
func (s *Store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	return s.take(ctx, key, once)
}

func (s *Store) take(ctx context.Context, key string, send sender) ([]byte, bool, error) {
	if err := s.usable(ctx); err != nil {
		return nil, false, err
	}
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	const doing = "taking from redis"
	reply, uncertain, err := s.attempt(ctx, doing, key, always, func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return send(ctx, c, s.options.Prefix+key, func(b rueidis.Builder, name string) rueidis.Completed {
			return b.Getdel().Key(name).Build()
		})
	})
	if uncertain {
		s.feed.Send(storage.Change{Key: key})
	}
	if err != nil {
		return nil, false, err
	}
	value, ok, err := s.value(ctx, doing, reply)
	if err != nil {
		return nil, false, err
	}
	if !ok && uncertain {
		return nil, false, fmt.Errorf("%s: %w: the connection was lost, and the value may have been taken with it", doing, storage.ErrUnavailable)
	}
	if ok && !uncertain {
		s.feed.Send(storage.Change{Key: key})
	}
	return value, ok, nil
}

// CompareAndSwap implements [storage.Store].
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	if err := storage.CheckWrite(key, next, lifetime); err != nil {
		return false, err
	}
	px := milliseconds(lifetime)
	const doing = "swapping in redis"
	oldText, nextText := string(old), string(next)
	reply, uncertain, err := s.attempt(ctx, doing, key, unlessSent, func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		if old == nil {
			return c.Do(ctx, c.B().Set().Key(s.options.Prefix+key).Value(nextText).Nx().PxMilliseconds(px).Build())
		}
		return s.swap.Exec(ctx, c, []string{s.options.Prefix + key}, []string{oldText, nextText, strconv.FormatInt(px, 10)})
	})
	swapped := false
	if err == nil {
		swapped, err = s.swapped(ctx, doing, reply, old == nil)
	}
	if swapped || uncertain {
		s.feed.Send(storage.Change{Key: key})
	}
	return swapped, err
}

// Watch implements [storage.Store].
//
// fn runs on the connection's own goroutine. It must not wait for an answer of this
// store, which would arrive on the same connection.
func (s *Store) Watch(fn func(storage.Change)) (stop func()) { return s.feed.Watch(fn) }

// Close implements [storage.Store]. It waits for the watchdog to end.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.feed.Close()
	s.cancel()
	s.watchdog.Wait()
	return nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return storage.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("using redis: %w", err)
	}
	return nil
}

// value reads the reply of GET and GETDEL. It copies the value, since the caller may
// change it.
func (s *Store) value(ctx context.Context, doing string, reply rueidis.RedisResult) ([]byte, bool, error) {
	text, err := reply.ToString()
	if rueidis.IsRedisNil(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, s.failed(ctx, doing, err)
	}
	return []byte(text), true, nil
}

// milliseconds returns at least one, since Redis refuses zero.
func milliseconds(lifetime time.Duration) int64 { return max(1, lifetime.Milliseconds()) }

// key removes the prefix.
func (s *Store) key(name string) string { return strings.TrimPrefix(name, s.options.Prefix) }

var _ storage.Store = (*Store)(nil)
