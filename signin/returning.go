package signin

import (
	"net/http"
	"net/url"
	"sync"

	"github.com/caddy-sso/caddy-sso/attempts"
)

// maxReturning bounds, for each way, how many answers that browsers at one address
// come back with are looked at a time: a provider has so many places, and anybody
// can make answers up.
const maxReturning = 4

// returning are the answers that are looked at, by way and address. The zero value
// is ready.
type returning struct {
	mu sync.Mutex
	at map[string]int
}

// enter takes a place, which leave gives back, if there is one.
func (c *returning) enter(way, address string) (leave func(), ok bool) {
	key := way + " " + attempts.Network(address)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[key] == maxReturning {
		return nil, false
	}
	if c.at == nil {
		c.at = map[string]int{}
	}
	c.at[key]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.at[key]--; c.at[key] == 0 {
			delete(c.at, key)
		}
	}, true
}

// arrival is who came back with an answer.
func (h *Hosted) arrival(r *http.Request, way Redirecting, d Departure, answer url.Values) (Arrival, error) {
	leave, ok := h.returning.enter(way.ID(), string(h.From(r)))
	if !ok {
		return Arrival{}, ErrBusy
	}
	defer leave()
	return arrive(r.Context(), way, d, answer)
}
