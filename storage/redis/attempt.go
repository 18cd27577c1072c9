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

// A repeat says when a command that failed is sent again.
type repeat int

const (
	// unlessDown repeats what died on the way, but does not wait for a server
	// that cannot be reached: a request is waiting for the answer.
	unlessDown repeat = iota

	// always repeats until the time is up. The command may be carried out
	// twice, so doing it twice must end as doing it once.
	always

	// unlessSent repeats only what certainly never reached the server.
	unlessSent
)

// attempt sends what send sends for a key until the server answers, within the
// time of one operation. A reply of nil is an answer.
//
// uncertain says that an earlier try, or the one that failed, may have been
// carried out without its answer arriving.
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
				s.outage.Store(nil) // only a master answers a write, so reads need not wait for the watchdog
			}
			return reply, uncertain, nil
		}
		sent := client != nil && !neverSent(limited, err)
		uncertain = uncertain || sent && !refused(err)
		if demoted(err) && s.outage.Load() == nil {
			s.lookNow()
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

// await returns the reply of send, or the context's error as soon as it ends:
// rueidis waits for a connection that is being opened, whatever the context says.
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

// neverSent reports whether err came before the command was written. While
// its own context lives, a context's error is that of a shared dial.
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

// refused reports whether the server answered that it cannot do it now, and
// so has not done it: it is starting, or the cluster is electing a master.
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

// failed makes the error a caller sees: its own context's, ErrClosed, or
// ErrUnavailable, with the cause in its text. A server that answers with an
// error has told as little about the key as one that does not answer.
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
	// The cause is not wrapped: a deadline in it is the store's own, and must
	// not look like the caller's.
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

// swapped reads the answer of SET NX, which is nil for no, or of the script.
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
