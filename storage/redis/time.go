package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/storage"
)

// timeScript has a key only to route it: in a cluster it always runs on the same
// master.
const timeScript = `return redis.call('TIME')`

const timeKey = "time"

// Time implements [storage.Timekeeper].
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	if err := s.usable(ctx); err != nil {
		return time.Time{}, err
	}
	const doing = "asking redis for its time"
	reply, _, err := s.attempt(ctx, doing, timeKey, unlessDown, func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
		return s.time.Exec(ctx, c, []string{s.options.Prefix + timeKey}, nil)
	})
	if err != nil {
		return time.Time{}, err
	}
	told, err := reply.AsIntSlice()
	if err != nil {
		return time.Time{}, s.failed(ctx, doing, err)
	}
	if len(told) != 2 {
		return time.Time{}, fmt.Errorf("%s: %w: got %d numbers, expected seconds and microseconds", doing, storage.ErrUnavailable, len(told))
	}
	return time.Unix(told[0], 1000*told[1]), nil
}

var _ storage.Timekeeper = (*Store)(nil)
