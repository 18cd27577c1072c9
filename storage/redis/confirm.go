package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	longestWait = 10 * time.Second

	// skipWait is how long writes do not wait for replicas after a wait without success.
	// Ending everything of a user takes many writes.
	skipWait = time.Second

	// maxWaitConns bounds the connections to each server for writes that wait.
	maxWaitConns = 64
)

// A Wait sets for how many replicas, and how long, a write waits if it must survive a
// failover.
type Wait struct {
	// Replicas is the number of replicas that must have the write. Default: none, so
	// writes do not wait.
	Replicas int

	// Time is how long a write waits for them, 1 millisecond to 10 seconds.
	Time time.Duration
}

// Check returns an error if a value is out of range.
func (w Wait) Check() error {
	if w.Replicas < 1 || w.Time < time.Millisecond || w.Time > longestWait {
		return fmt.Errorf("waiting %s for %d replicas: expected at least 1 replica, and a time of 1ms to %s", w.Time, w.Replicas, longestWait)
	}
	return nil
}

// A sender sends a command that writes the key name, once.
type sender func(ctx context.Context, c rueidis.Client, name string, command command) rueidis.RedisResult

type command func(b rueidis.Builder, name string) rueidis.Completed

func once(ctx context.Context, c rueidis.Client, name string, command command) rueidis.RedisResult {
	return c.Do(ctx, command(c.B(), name))
}

// Confirmed returns the same store, but Put, Pin and Take wait until the number of
// replicas in [Options].Wait has the write, or its time is over. In the second case the
// master has the write nevertheless, so there is no error, and Options.Unconfirmed is
// called. Closing either store closes both.
func (s *Store) Confirmed() storage.Store {
	if s.options.Wait.Replicas == 0 {
		return s
	}
	return confirmed{s}
}

type confirmed struct{ *Store }

// Put implements [storage.Store].
func (c confirmed) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return c.put(ctx, key, value, lifetime, c.waitForReplicas)
}

// Pin implements [storage.Store].
func (c confirmed) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return c.Put(ctx, key, value, lifetime)
}

// Take implements [storage.Store].
func (c confirmed) Take(ctx context.Context, key string) ([]byte, bool, error) {
	return c.take(ctx, key, c.waitForReplicas)
}

// A waiter has the connections for writes that wait. WAIT applies to the writes of its
// own connection, and blocks it for all later commands. So these connections are
// separate, and not tracked: the feed uses the other connections.
type waiter struct {
	client     atomic.Pointer[rueidis.Client]
	lastFailed atomic.Int64 // time of the last wait without success, in milliseconds since 1970
}

// connectWaiter connects in the background. The watchdog closes the connection.
func (s *Store) connectWaiter(option rueidis.ClientOption) {
	option.DisableCache = true
	option.ClientTrackingOptions, option.OnInvalidations = nil, nil
	option.BlockingPoolSize = maxWaitConns
	if client := s.connect(option, func(error) {}); client != nil {
		s.waiter.client.Store(&client)
		<-s.ctx.Done()
		client.Close()
	}
}

// waitForReplicas is a sender that waits. If the waiting connection does not work, it
// sends the command on a normal connection: ending something is more important than its
// confirmation.
func (s *Store) waitForReplicas(ctx context.Context, c rueidis.Client, name string, command command) (reply rueidis.RedisResult) {
	err := errors.New("not connected yet")
	if waiting := s.waiter.client.Load(); waiting != nil {
		_ = (*waiting).Dedicated(func(d rueidis.DedicatedClient) error { // its error is that of what follows
			// Checks that the connection works, and leads to the server with the key.
			err = d.Do(ctx, d.B().Get().Key(name).Build()).Error()
			if err != nil && !rueidis.IsRedisNil(err) {
				return nil
			}
			err = nil
			reply = d.Do(ctx, command(d.B(), name))
			if reply.Error() == nil {
				s.awaitReplicas(ctx, d)
			}
			return nil
		})
	}
	if err == nil {
		return reply
	}
	reply = once(ctx, c, name, command)
	if reply.Error() == nil {
		s.unconfirmed(0, err)
	}
	return reply
}

// awaitReplicas waits even if the caller does not any more: the connection can only
// be used again after its reply.
func (s *Store) awaitReplicas(ctx context.Context, d rueidis.DedicatedClient) {
	want, patience := s.options.Wait.Replicas, s.options.Wait.Time
	if now := time.Now().UnixMilli(); now-s.waiter.lastFailed.Load() < skipWait.Milliseconds() {
		patience = time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+s.options.Timeout)
	defer cancel()
	have, err := d.Do(ctx, d.B().Wait().Numreplicas(int64(want)).Timeout(patience.Milliseconds()).Build()).AsInt64()
	if err != nil || have < int64(want) {
		s.waiter.lastFailed.Store(time.Now().UnixMilli())
		s.unconfirmed(have, err)
	}
}

func (s *Store) unconfirmed(have int64, err error) {
	if tell := s.options.Unconfirmed; tell != nil {
		tell(have, err)
	}
}
