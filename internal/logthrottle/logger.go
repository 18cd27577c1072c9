package logthrottle

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Logger returns a logger that writes messages of failures which every request can
// trigger only once a minute: lines of level error, and warnings about a store that
// does not answer. The field times counts them since the last such line. The same
// message with another reason (the field error) has its own line. Lines with a field
// requests, which are counted already, and all other lines stay as they are.
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

// Write implements [zapcore.Core]. The core below is often a tee of several cores;
// its Check knows which of them take the line.
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

// kindOf returns the message of a line, and the error as its reason, so that no fault
// hides another. An outage of the store is one reason, whatever its error.
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
