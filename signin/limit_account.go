package signin

import (
	"context"
	"runtime"
	"sync"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
)

// lines are where those wait who have something in common, such as an address: a
// few of them go on at a time, and the others stand in a line of their own, so that
// nobody else waits behind them. The zero value is ready.
type lines struct {
	mu sync.Mutex
	of map[string]*line
}

type line struct {
	places chan struct{}
	here   int // with a place, and waiting for one
}

// enter waits for one of n places of a kind, which leave gives back. Where too many
// wait already, or the wait is too long, it returns ErrBusy.
func (l *lines) enter(ctx context.Context, kind string, n, waiting int) (leave func(), err error) {
	own := l.come(kind, n, waiting)
	if own == nil {
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, longestWait, ErrBusy)
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

// here is how many of a kind have a place, or wait for one.
func (l *lines) here(kind string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own := l.of[kind]; own != nil {
		return own.here
	}
	return 0
}

// count is how many kinds have anybody here.
func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.of)
}

func (l *lines) come(kind string, n, waiting int) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.of[kind]
	if own == nil {
		own = &line{places: make(chan struct{}, n)}
	}
	if own.here == n+waiting {
		return nil
	}
	if l.of == nil {
		l.of = map[string]*line{}
	}
	own.here++
	l.of[kind] = own
	return own
}

func (l *lines) goAway(kind string, own *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own.here--; own.here == 0 {
		delete(l.of, kind)
	}
}

// turns are whose password is looked at when, whether it is right or wrong. The
// zero value is ready.
type turns struct{ accounts, addresses lines }

// maxWaitingPerAccount are about as many as get their turn within the longest
// wait, where a hash takes half a second.
const maxWaitingPerAccount = placesPerCore

// turnsPerAddress is how many passwords of one address are checked at a time:
// about as many as there are cores, so that whoever comes from another address
// waits for no more than one of them.
func turnsPerAddress() int { return min(max(runtime.GOMAXPROCS(0), 2), maxPerAddress) }

// turnsPerAccount is one, since each attempt under way may fail: of two that are
// right, one would be refused where one failure is left.
const turnsPerAccount = 1

// enter waits for a turn, which leave ends. It does not matter whether there is an
// account with the name. Browsers that know the account have turns of their own.
func (t *turns) enter(ctx context.Context, who attempt) (leave func(), err error) {
	account, address := "name "+who.names[len(who.names)-1], attemptlimit.Network(who.address)
	if who.known() {
		account, address = "known "+who.account, "known "+address
	}
	// The account comes first, so that who waits for it takes no place of the
	// address.
	leaveAccount, err := t.accounts.enter(ctx, account, turnsPerAccount, maxWaitingPerAccount)
	if err != nil {
		return nil, err
	}
	leaveAddress, err := t.addresses.enter(ctx, address, turnsPerAddress(), maxWaitingPerAddress)
	if err != nil {
		leaveAccount()
		return nil, err
	}
	return func() {
		leaveAddress()
		leaveAccount()
	}, nil
}
