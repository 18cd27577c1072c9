package limits

import (
	"context"
	"sync"

	"github.com/caddy-sso/caddy-sso/signin"
)

// Queues limit requests that have a key in common, such as an address. A few of them
// run at a time, and the others wait in a queue of their own, so that no other request
// waits behind them. The zero value is ready.
type Queues struct {
	mu sync.Mutex
	of map[string]*queue
}

type queue struct {
	places chan struct{}
	here   int // with a place, and waiting for one
}

// Enter waits for one of n places of a kind; leave releases it. Enter returns
// [signin.ErrBusy] if too many wait already, or if the wait is too long.
func (l *Queues) Enter(ctx context.Context, kind string, n, waiting int) (leave func(), err error) {
	own := l.come(kind, n, waiting)
	if own == nil {
		return nil, signin.ErrBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, LongestWait, signin.ErrBusy)
	defer cancel()
	if err := acquire(ctx, own.places); err != nil {
		l.goAway(kind, own)
		return nil, err
	}
	return func() {
		<-own.places
		l.goAway(kind, own)
	}, nil
}

// Here returns how many requests of a kind have a place, or wait for one.
func (l *Queues) Here(kind string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own := l.of[kind]; own != nil {
		return own.here
	}
	return 0
}

// Count returns the number of kinds with a request.
func (l *Queues) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.of)
}

func (l *Queues) come(kind string, n, waiting int) *queue {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.of[kind]
	if own == nil {
		own = &queue{places: make(chan struct{}, n)}
	}
	if own.here == n+waiting {
		return nil
	}
	if l.of == nil {
		l.of = map[string]*queue{}
	}
	own.here++
	l.of[kind] = own
	return own
}

func (l *Queues) goAway(kind string, own *queue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own.here--; own.here == 0 {
		delete(l.of, kind)
	}
}
