package appruntime

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/storage"
)

// storeTime returns a function that asks the store for its time; nil: the store has
// no clock of its own.
func (s *State) storeTime() func(context.Context) (time.Time, error) {
	if keeper, ok := s.Engine.(storage.Timekeeper); ok {
		return keeper.Time
	}
	return nil
}

// CheckClock compares the clock of this machine with that of the store, now.
func (s *State) CheckClock(ctx context.Context) { s.Clock.Check(ctx, s.storeTime()) }

// clockReports throttles the log lines about the clocks: one a minute of each kind.
// The clock outlives the configuration, so the configuration's log may be closed.
type clockReports struct{ apart, far, jumped, unknown logthrottle.Throttle }

func (r *clockReports) report(s sharedclock.Status) {
	warn := func(lines *logthrottle.Throttle, text string, fields ...zap.Field) {
		if n := lines.Due(time.Now()); n > 0 {
			caddy.Log().Named("sso").Warn(text, append(fields, zap.Int("times", n))...)
		}
	}
	if s.Asked && !s.Followed {
		warn(&r.far, "the clocks of this node and of the storage differ too much for sign-ins that begin at one node and end at another; set both by NTP",
			zap.Duration("ahead_of_storage", s.Difference), zap.Duration("at_most", sharedclock.MaxDifference))
	} else if s.Asked && s.Difference.Abs() >= sharedclock.Notable {
		warn(&r.apart, "the clocks of this node and of the storage differ; the clock of the storage is used: set both by NTP",
			zap.Duration("ahead_of_storage", s.Difference))
	}
	if s.Jump.Abs() >= sharedclock.Notable {
		warn(&r.jumped, "a clock has jumped; the new time is used if it stays for half a minute", zap.Duration("by", s.Jump))
	}
	if s.Problem != "" && !s.Asked {
		warn(&r.unknown, "the storage does not tell its time, so the clock of this node cannot be compared with it", zap.String("problem", s.Problem))
	}
}
