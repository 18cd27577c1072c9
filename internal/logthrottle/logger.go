package logthrottle

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Logger returns a logger that writes what every request brings about, while
// something of ours does not work, once a minute of its kind: lines at level error,
// and warnings of a store that does not answer. The field times says how often it
// happened since the last such line. Of one kind, each reason (the field error) has
// lines of its own. Those that have a count of their own, requests,
// stay as they are, and so does everything else.
func (k *ByKind) Logger(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return &core{c, k} }))
}

type core struct {
	zapcore.Core
	kinds *ByKind
}

// With implements [zapcore.Core].
func (c *core) With(fields []zapcore.Field) zapcore.Core { return &core{c.Core.With(fields), c.kinds} }

// Check implements [zapcore.Core].
func (c *core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level < zapcore.WarnLevel {
		return c.Core.Check(e, checked)
	}
	if !c.Enabled(e.Level) {
		return checked
	}
	return checked.AddCore(e, c)
}

// Write implements [zapcore.Core]. The core below is a tee of several most of the
// time, of which Check knows which take the line.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	kind, reason, counts := kindOf(e, fields)
	if counts {
		n := c.kinds.Due(kind, reason, time.Now())
		if n == 0 {
			return nil
		}
		fields = append(slices.Clip(fields), zap.Int("times", n))
	}
	if checked := c.Core.Check(e, nil); checked != nil {
		checked.Write(fields...)
	}
	return nil
}

// kindOf is the kind of a line, its text, and the error that is its reason, so that
// no fault hides another. An outage of the store is one reason, however it shows.
func kindOf(e zapcore.Entry, fields []zapcore.Field) (kind string, reason error, counts bool) {
	for _, f := range fields {
		if f.Key == "requests" {
			return "", nil, false
		}
		if err, is := f.Interface.(error); is && f.Type == zapcore.ErrorType {
			reason = err
		}
	}
	if errors.Is(reason, storage.ErrUnavailable) {
		return e.Message, storage.ErrUnavailable, true
	}
	return e.Message, reason, e.Level >= zapcore.ErrorLevel
}
