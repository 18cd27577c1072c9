package storage

import (
	"context"
	"time"
)

// A Timekeeper is a store that can tell the time of its server: always the same
// one, of several. It is asked seldom, and never for a request.
type Timekeeper interface {
	Time(context.Context) (time.Time, error)
}
