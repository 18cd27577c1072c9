package caddymodule

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/storage"
)

// wallClock is the clock of this machine: for what others stamp or verify by theirs,
// such as signed requests. All else goes by the clock of the store.
var wallClock = time.Now

// storeTime asks the store for its time; nil: it has none of its own.
func (s *state) storeTime() func(context.Context) (time.Time, error) {
	if keeper, ok := s.engine.(storage.Timekeeper); ok {
		return keeper.Time
	}
	return nil
}

// clockReports are what an operator is told of the clocks, once a minute of each
// kind. The clock outlives the configuration, whose log may be closed by then.
type clockReports struct{ apart, far, jumped, unknown logthrottle.Throttle }

func (r *clockReports) report(s sharedclock.Status) {
	warn := func(lines *logthrottle.Throttle, text string, fields ...zap.Field) {
		if n := lines.Due(time.Now()); n > 0 {
			caddy.Log().Named("sso").Warn(text, append(fields, zap.Int("times", n))...)
		}
	}
	if s.Asked && !s.Followed {
		warn(&r.far, "the clock of this node and that of the storage are too far apart for sign-ins that begin at one node and end at another; set both by NTP",
			zap.Duration("ahead_of_storage", s.Difference), zap.Duration("at_most", sharedclock.MaxDifference))
	} else if s.Asked && s.Difference.Abs() >= sharedclock.Notable {
		warn(&r.apart, "the clock of this node and that of the storage are apart, and the one of the storage counts; set both by NTP",
			zap.Duration("ahead_of_storage", s.Difference))
	}
	if s.Jump.Abs() >= sharedclock.Notable {
		warn(&r.jumped, "a clock has jumped, and counts only if it stays so for half a minute", zap.Duration("by", s.Jump))
	}
	if s.Problem != "" && !s.Asked {
		warn(&r.unknown, "the storage does not tell its time, and so cannot be compared with the clock of this node", zap.String("problem", s.Problem))
	}
}

// clockText is what caddy sso storage status says of the clocks.
func clockText(s sharedclock.Status) string {
	text := "no other than that of this node"
	if s.Asked {
		by, direction := s.Difference.Round(time.Millisecond), "ahead of"
		if by < 0 {
			direction = "behind"
		}
		text = fmt.Sprintf("%s %s that of the storage, which counts", by.Abs(), direction)
		if !s.Followed {
			text = fmt.Sprintf("%s %s that of the storage: more than %s, so each node goes by its own", by.Abs(), direction, sharedclock.MaxDifference)
		}
	}
	if s.Jump != 0 {
		text += fmt.Sprintf("; has jumped by %s, which does not count yet", s.Jump.Round(time.Millisecond))
	}
	if s.Problem != "" {
		text += "; " + s.Problem
	}
	return text
}
