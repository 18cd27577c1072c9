package signin

import (
	"net/http"
	"net/url"
	"sync"

	"github.com/caddy-sso/caddy-sso/attempts"
)

// maxPerAddress bounds, for each way, how many sign-ins of browsers at one address
// wait at a time for somebody else's server, which has so many places: anybody can
// make an answer of a provider up, or a password.
const maxPerAddress = 4

// perAddress are the sign-ins that wait, by way and address. The zero value is
// ready.
type perAddress struct {
	mu sync.Mutex
	at map[string]int
}

// enter takes a place, which leave gives back, if there is one.
func (c *perAddress) enter(way, address string) (leave func(), ok bool) {
	key := way + " " + attempts.Network(address)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[key] == maxPerAddress {
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
