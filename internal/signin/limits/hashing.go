package limits

import (
	"context"
	"runtime"
	"time"

	"github.com/caddy-sso/caddy-sso/signin"
)

const (
	// PlacesPerCore is how many may wait for a core: about as many as one core
	// compares within the longest wait, if a hash takes half a second.
	PlacesPerCore = 16

	// LongestWait is how long a user may have to wait for a page.
	LongestWait = 10 * time.Second
)

// A Queue limits the comparison of passwords, which keeps a core busy for as long as
// the cost of the hash requires. Each core runs one comparison at a time, and a
// bounded number waits.
type Queue struct {
	Cores chan struct{}

	// Requests of unknown browsers pass a door of their own, at most as many at a
	// time as there are cores. So a browser in which the account signed in before
	// waits behind no more of them than that.
	door chan struct{}

	UnknownDevices, known chan struct{} // places to wait in
}

func NewQueue() Queue { return NewQueueOf(runtime.GOMAXPROCS(0)) }

// NewQueueOf returns a queue before n places that are not cores.
func NewQueueOf(n int) Queue {
	return Queue{
		Cores: make(chan struct{}, n), door: make(chan struct{}, n),
		UnknownDevices: make(chan struct{}, n*PlacesPerCore), known: make(chan struct{}, n*PlacesPerCore),
	}
}

// Enter waits for a core; leave releases it. Enter returns [signin.ErrBusy] if there
// is no room to wait, or if the wait is too long.
func (q Queue) Enter(ctx context.Context, c signin.Credentials) (leave func(), err error) {
	places, door := q.known, (chan struct{})(nil)
	if !c.Known {
		places, door = q.UnknownDevices, q.door
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		return nil, signin.ErrBusy
	}
	until := c.WaitUntil
	if until.IsZero() {
		until = time.Now().Add(LongestWait)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, until, signin.ErrBusy)
	defer cancel()
	if door != nil {
		if err := acquire(ctx, door); err != nil {
			return nil, err
		}
	}
	if err := acquire(ctx, q.Cores); err != nil {
		if door != nil {
			<-door
		}
		return nil, err
	}
	return func() {
		<-q.Cores
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
