package storage

import (
	"context"
	"time"
)

// A Timekeeper is a store that knows the time of its server. With several servers it
// always asks the same one. It is asked rarely, and never during a request.
type Timekeeper interface {
	Time(context.Context) (time.Time, error)
}
