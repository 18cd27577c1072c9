package redis

import (
	"context"
	"sync"
	"time"
)

// redialInterval is the pause before an address that refused a connection is dialled
// again. rueidis has no such limit with Sentinel: while the master is down, each
// failure makes it ask all Sentinels again, with more and more goroutines.
const redialInterval = 100 * time.Millisecond

// dials has the time of the last failed dial to each address.
type dials struct {
	mu     sync.Mutex
	failed map[string]time.Time // guarded by mu
}

// wait waits until an address may be dialled, or ctx ends.
func (d *dials) wait(ctx context.Context, addr string) {
	d.mu.Lock()
	last, ok := d.failed[addr]
	d.mu.Unlock()
	if ok {
		wait(ctx, redialInterval-time.Since(last))
	}
}

func (d *dials) ended(addr string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.failed, addr)
		return
	}
	if d.failed == nil {
		d.failed = make(map[string]time.Time)
	}
	d.failed[addr] = time.Now()
}
