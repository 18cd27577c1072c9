package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
)

// maxTicketRequest bounds, in bytes, a request for a ticket.
const maxTicketRequest = 64 << 10

// ticketAnswer is the answer.
type ticketAnswer struct {
	Ticket string `json:"ticket"`
	URL    string `json:"url"` // to which the server redirects the browser
}

// ticketPath returns the method's ID in the address of the ticket endpoint.
func ticketPath(path string) (id string, ok bool) {
	id, below := strings.CutPrefix(path, TrustedPrefix)
	id, ends := strings.CutSuffix(id, "/ticket")
	return id, below && ends
}

// giveTicket answers a server that has signed a user in. It is no page: the signature
// authenticates the request, and no cookie does.
func (h *Hosted) giveTicket(w http.ResponseWriter, r *http.Request, id string) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, "invalid_request", "Use POST.")
		return
	}
	found := h.Methods.Find(id)
	if found == nil {
		writeError(w, http.StatusNotFound, "invalid_request", "There is no such sign-in method.")
		return
	}
	method, ok := found.(*remote.Trusted)
	if !ok {
		writeError(w, http.StatusNotFound, "invalid_request", "This sign-in method gives no tickets.")
		return
	}
	body, err := httpapi.Body(w, r, maxTicketRequest)
	if err != nil {
		writeError(w, httpapi.BodyStatus(err), "invalid_request", "The body could not be read, took too long, or is larger than 64 KiB.")
		return
	}
	signature := r.Header.Get(signedhttp.Header)
	if err := h.verifySigned(method, signature, body); err != nil {
		h.warnOf(&h.refusedTickets, id, err, r, "a ticket was refused", zap.String("signin", id))
		writeError(w, http.StatusUnauthorized, "invalid_signature", "The request is refused: "+err.Error()+".")
		return
	}
	var q remote.TicketRequest
	if err := json.Unmarshal(body, &q); err != nil || q.State == "" || len(q.State) > maxState {
		writeError(w, http.StatusBadRequest, "invalid_request", `Expected {"state":"…","user":{"subject":"…"}}, with the state that the page got.`)
		return
	}
	if err := method.CheckUser(q.User); err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request", "The user cannot be used: "+err.Error()+".")
		return
	}
	first, err := method.First(r.Context(), signature)
	name := ""
	if err == nil && first {
		name, err = method.Issue(r.Context(), q)
	}
	switch {
	case err != nil:
		h.Log.Error("giving a ticket", zap.String("signin", id), zap.Error(err))
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusServiceUnavailable, "temporarily_unavailable", "Try again in a moment.")
	case !first:
		writeError(w, http.StatusConflict, "invalid_request", "This request was already used. Sign each request with the current time and another nonce.")
	default:
		back := url.Values{"ticket": {name}, "state": {q.State}}
		httpapi.WriteJSON(w, http.StatusOK, ticketAnswer{name, h.Server.Issuer + CallbackPrefix + id + "?" + back.Encode()})
	}
}

// verifySigned accepts a request that is fresh by the clock of the store or by that
// of this machine: a wrong clock here is no fault of the server that signed.
func (h *Hosted) verifySigned(method *remote.Trusted, signature string, body []byte) error {
	err := method.Verify(signature, body, h.Now())
	if h.Wall != nil && errors.Is(err, signedhttp.ErrTime) {
		return method.Verify(signature, body, h.Wall())
	}
	return err
}

// writeError answers a server, which shows no page.
func writeError(w http.ResponseWriter, status int, code, description string) {
	httpapi.WriteJSON(w, status, map[string]string{"error": code, "error_description": description})
}
