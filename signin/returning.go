package signin

import (
	"context"
	"net/http"
	"net/url"
	"sync"

	"github.com/caddy-sso/caddy-sso/attempts"
)

// maxPerAddress bounds, for each way, how many sign-ins of browsers at one address
// are at a time with somebody else's server, which has so many places: anybody can
// make an answer of a provider up, or a password. So many more wait for that, since
// an office, or a server that signs people in, is one address.
const (
	maxPerAddress        = 4
	maxWaitingPerAddress = 32
)

// perAddress are the sign-ins of an address by a way. The zero value is ready.
type perAddress struct {
	mu sync.Mutex
	at map[string]*places
}

// places are those of one address at one way.
type places struct {
	taken chan struct{}
	here  int // with a place, and waiting for one
}

// enter waits for a place, which leave gives back. Where too many wait already, or
// the wait is too long, it returns ErrBusy.
func (c *perAddress) enter(ctx context.Context, way, address string) (leave func(), err error) {
	key := way + " " + attempts.Network(address)
	p := c.come(key)
	if p == nil {
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, longestWait, ErrBusy)
	defer cancel()
	if err := acquire(ctx, p.taken); err != nil {
		c.goAway(key, p)
		return nil, err
	}
	return func() {
		<-p.taken
		c.goAway(key, p)
	}, nil
}

func (c *perAddress) come(key string) *places {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.at[key]
	if p == nil {
		p = &places{taken: make(chan struct{}, maxPerAddress)}
	}
	if p.here == maxPerAddress+maxWaitingPerAddress {
		return nil
	}
	if c.at == nil {
		c.at = map[string]*places{}
	}
	p.here++
	c.at[key] = p
	return p
}

func (c *perAddress) goAway(key string, p *places) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.here--; p.here == 0 {
		delete(c.at, key)
	}
}

// arrival is who came back with an answer.
func (h *Hosted) arrival(r *http.Request, way Redirecting, d Departure, answer url.Values) (Arrival, error) {
	leave, err := h.returning.enter(r.Context(), way.ID(), string(h.From(r)))
	if err != nil {
		return Arrival{}, err
	}
	defer leave()
	return arrive(r.Context(), way, d, answer)
}
