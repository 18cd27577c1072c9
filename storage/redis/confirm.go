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

	// hurry is how long writes do not wait after one that waited in vain: ending
	// all that a user has is many writes.
	hurry = time.Second

	// maxWaiting bounds the connections on which writes wait, to each server.
	maxWaiting = 64
)

// A Wait says for what a write waits that must outlive a failover.
type Wait struct {
	// Replicas is how many have to have the write. Default: none, no waiting.
	Replicas int

	// Time is how long a write waits for them, 1 millisecond to 10 seconds.
	Time time.Duration
}

// Check returns an error if a store cannot wait so.
func (w Wait) Check() error {
	if w.Replicas < 1 || w.Time < time.Millisecond || w.Time > longestWait {
		return fmt.Errorf("waiting %s for %d replicas: expected at least 1 replica, and 1ms to %s", w.Time, w.Replicas, longestWait)
	}
	return nil
}

// A sender sends a command that writes name by a client, once.
type sender func(ctx context.Context, c rueidis.Client, name string, command command) rueidis.RedisResult

type command func(b rueidis.Builder, name string) rueidis.Completed

func once(ctx context.Context, c rueidis.Client, name string, command command) rueidis.RedisResult {
	return c.Do(ctx, command(c.B(), name))
}

// Confirmed returns the same store, of which Put and Take return when as many
// replicas as [Options] say have what was written, or the time is up. Then it is
// written to the master nevertheless, so that is no error: Options.Unconfirmed is
// told. Closing either store closes both.
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

// A waiter is what writes wait by. WAIT answers for the writes of its own
// connection, and holds up all that comes after it there. So it has connections
// of its own, which are not tracked: the feed is that of the other ones.
type waiter struct {
	client atomic.Pointer[rueidis.Client]
	vain   atomic.Int64 // when waiting was in vain the last time, in milliseconds since 1970
}

// connectWaiter runs beside the watchdog, which ends it.
func (s *Store) connectWaiter(option rueidis.ClientOption) {
	option.DisableCache = true
	option.ClientTrackingOptions, option.OnInvalidations = nil, nil
	option.BlockingPoolSize = maxWaiting
	if client := s.connect(option, func(error) {}); client != nil {
		s.waiter.client.Store(&client)
		<-s.life.Done()
		client.Close()
	}
}

// waitForReplicas is a sender that waits. What cannot be sent on a connection to
// wait on is sent without: an ending goes before its confirmation.
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
	if now := time.Now().UnixMilli(); now-s.waiter.vain.Load() < hurry.Milliseconds() {
		patience = time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+s.options.Timeout)
	defer cancel()
	have, err := d.Do(ctx, d.B().Wait().Numreplicas(int64(want)).Timeout(patience.Milliseconds()).Build()).AsInt64()
	if err != nil || have < int64(want) {
		s.waiter.vain.Store(time.Now().UnixMilli())
		s.unconfirmed(have, err)
	}
}

func (s *Store) unconfirmed(have int64, err error) {
	if tell := s.options.Unconfirmed; tell != nil {
		tell(have, err)
	}
}
