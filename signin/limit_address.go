package signin

import (
	"net/http"
	"net/url"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
)

// maxPerAddress bounds how many sign-ins of browsers at one address are checked at
// a time: those at a provider for each way, those by a password for all. Anybody can
// make an answer of a provider up, or a password. So many more wait for that, since
// an office, or a server that signs people in, is one address.
const (
	maxPerAddress        = 4
	maxWaitingPerAddress = 32
)

// callbackTurn is who came back with an answer.
func (h *Hosted) callbackTurn(r *http.Request, method ProviderMethod, d ProviderRequest, answer url.Values) (ProviderSignIn, error) {
	leave, err := h.returning.enter(r.Context(), method.ID()+" "+attemptlimit.Network(string(h.From(r))), maxPerAddress, maxWaitingPerAddress)
	if err != nil {
		return ProviderSignIn{}, err
	}
	defer leave()
	return finishSession(r.Context(), method, d, answer)
}
