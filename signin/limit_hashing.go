package signin

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// ErrBusy says that so many passwords wait to be compared that this one was
// not looked at.
var ErrBusy = errors.New("too many passwords wait to be compared")

const (
	// placesPerCore is how many may wait for a core: about as many as are
	// compared within the longest wait, where a hash takes half a second.
	placesPerCore = 16

	// longestWait is how long a person may be expected to look at a page that
	// does not come.
	longestWait = 10 * time.Second
)

// A hashLimit is before the comparing of passwords, which keeps a core busy for as
// long as the hashes were made to. One comparison a core runs at a time, and a
// bounded number waits.
type hashLimit struct {
	cores chan struct{}

	// Strangers come to the cores by a door of their own, as few at a time as
	// there are cores. So a browser that signed in to the account before waits
	// behind no more of them than that, however many there are.
	door chan struct{}

	unknownDevices, known chan struct{} // places to wait in
}

func newHashLimit() hashLimit { return newHashLimitOf(runtime.GOMAXPROCS(0)) }

// newHashLimitOf is a queue before n of something else than cores.
func newHashLimitOf(n int) hashLimit {
	return hashLimit{
		cores: make(chan struct{}, n), door: make(chan struct{}, n),
		unknownDevices: make(chan struct{}, n*placesPerCore), known: make(chan struct{}, n*placesPerCore),
	}
}

// enter waits for a core, which leave gives back. Where there is no place to
// wait in, or the wait is too long, it returns ErrBusy.
func (q hashLimit) enter(ctx context.Context, c Credentials) (leave func(), err error) {
	places, door := q.known, (chan struct{})(nil)
	if !c.Known {
		places, door = q.unknownDevices, q.door
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		return nil, ErrBusy
	}
	until := c.WaitUntil
	if until.IsZero() {
		until = time.Now().Add(longestWait)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, until, ErrBusy)
	defer cancel()
	if door != nil {
		if err := acquire(ctx, door); err != nil {
			return nil, err
		}
	}
	if err := acquire(ctx, q.cores); err != nil {
		if door != nil {
			<-door
		}
		return nil, err
	}
	return func() {
		<-q.cores
		if door != nil {
			<-door
		}
	}, nil
}

func acquire(ctx context.Context, one chan<- struct{}) error {
	select {
	case one <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
