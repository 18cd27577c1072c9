package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	firstRetryDelay = 5 * time.Millisecond
	lastRetryDelay  = 100 * time.Millisecond
)

// A repeat is a rule for sending a failed command again.
type repeat int

const (
	// unlessDown sends a command again if the connection failed, but does not wait for
	// a server that cannot be reached, since a request waits for the answer.
	unlessDown repeat = iota

	// always sends a command again until the timeout. The server may run it twice, so
	// the result must be the same as after once.
	always

	// unlessSent sends a command again only if it certainly did not reach the server.
	unlessSent
)

// attempt calls send for a key until the server answers, at most for the timeout of one
// operation. A nil reply is an answer.
//
// uncertain reports that the server may have run an earlier attempt, or the failed one,
// without its answer arriving.
func (s *Store) attempt(ctx context.Context, doing, key string, when repeat,
	send func(context.Context, rueidis.Client) rueidis.RedisResult,
) (reply rueidis.RedisResult, uncertain bool, err error) {
	limited, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	for delay := firstRetryDelay; ; delay = min(2*delay, lastRetryDelay) {
		client, err := s.connected(limited)
		if err == nil && when == unlessDown && s.outage.Load().covers(client, s.options.Prefix+key) {
			err = errDown
			if delay > firstRetryDelay {
				err = errWentDown
			}
			return reply, uncertain, s.failed(ctx, doing, err)
		}
		if err == nil {
			reply, err = await(limited, func() rueidis.RedisResult { return send(limited, client) })
		}
		if err == nil || rueidis.IsRedisNil(err) {
			if !s.answered.Load() {
				s.answered.Store(true)
			}
			if when != unlessDown && s.outage.Load().covers(client, s.options.Prefix+key) {
				s.outage.Store(nil) // only a master accepts a write, so reads need not wait for the watchdog
			}
			return reply, uncertain, nil
		}
		sent := client != nil && !neverSent(limited, err)
		uncertain = uncertain || sent && !refused(err)
		if demoted(err) && s.outage.Load() == nil {
			s.wakeWatchdog()
		}
		again := limited.Err() == nil && client != nil && mayRepeat(when, sent, err)
		if !again || !wait(limited, delay) {
			if limited.Err() != nil {
				err = fmt.Errorf("%w: %v", storage.ErrTimedOut, err)
			}
			return reply, uncertain, s.failed(ctx, doing, err)
		}
	}
}

// await returns the reply of send, or the context's error when the context ends.
// rueidis itself waits for a connection that is being opened, even after the context
// has ended.
func await(ctx context.Context, send func() rueidis.RedisResult) (rueidis.RedisResult, error) {
	done := make(chan rueidis.RedisResult, 1)
	go func() { done <- send() }()
	select {
	case reply := <-done:
		return reply, reply.Error()
	case <-ctx.Done():
		return rueidis.RedisResult{}, ctx.Err()
	}
}

func mayRepeat(when repeat, sent bool, err error) bool {
	if _, answered := rueidis.IsRedisErr(err); answered {
		return refused(err)
	}
	switch when {
	case always:
		return true
	case unlessDown:
		return sent || ended(err)
	default:
		return !sent
	}
}

// neverSent reports whether err happened before the command was written. If ctx has not
// ended, a context error comes from a dial that several commands share.
func neverSent(ctx context.Context, err error) bool {
	if _, ok := errors.AsType[dialError](err); ok {
		return true
	}
	isContext := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	return isContext && ctx.Err() == nil
}

// ended reports whether err is the error of a context or a deadline. It says nothing
// about the server if the caller's own context is alive: several callers share one
// dial, which ends with the context of the first of them.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}

// refused reports whether the server answered that it cannot run the command now, and
// so did not run it: it is starting, or the cluster elects a master.
func refused(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	for _, code := range []string{"LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "READONLY", "BUSY "} {
		if strings.HasPrefix(answer.Error(), code) {
			return true
		}
	}
	return false
}

// demoted reports whether the server answered that it is a replica.
func demoted(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(answer.Error(), "READONLY")
}

// failed returns the error for the caller: the error of the caller's context,
// ErrClosed, or ErrUnavailable with the cause in its text. An error reply says as
// little about the key as no reply.
func (s *Store) failed(ctx context.Context, doing string, err error) error {
	if own := ctx.Err(); own != nil {
		return fmt.Errorf("%s: %w", doing, own)
	}
	if s.closed.Load() || errors.Is(err, storage.ErrClosed) {
		return storage.ErrClosed
	}
	if errors.Is(err, storage.ErrUnavailable) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	// The cause is not wrapped: it may have the store's own deadline, which must not
	// look like the caller's.
	return fmt.Errorf("%s: %w: %v", doing, storage.ErrUnavailable, err)
}

// wait reports whether delay passed before ctx ended.
func wait(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// swapped reads the reply of SET NX, which is nil if the key exists, or the reply of
// the script.
func (s *Store) swapped(ctx context.Context, doing string, reply rueidis.RedisResult, creating bool) (bool, error) {
	if creating {
		return !rueidis.IsRedisNil(reply.Error()), nil
	}
	n, err := reply.AsInt64()
	if err != nil {
		return false, s.failed(ctx, doing, err)
	}
	return n == 1, nil
}
