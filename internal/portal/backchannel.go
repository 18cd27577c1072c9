package portal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// Below BackchannelPrefix are the IDs of the methods whose providers post logout
// tokens.
const BackchannelPrefix = "/sso/backchannel_logout/"

// maxLogoutRequest bounds the body of an unauthenticated request, in bytes.
const maxLogoutRequest = 16 << 10

// backchannelLogout ends the sessions that a provider has ended (OpenID Connect
// Back-Channel Logout section 2.5). The status is 400 for every reason why sessions could
// not be ended (section 2.8).
func (h *Hosted) backchannelLogout(w http.ResponseWriter, r *http.Request, id string) {
	method := h.Methods.LogoutReceiver(id)
	if method == nil {
		writeError(w, http.StatusNotFound, "invalid_request", "There is no such provider here.")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, "invalid_request", "A logout token is sent by POST.")
		return
	}
	token, status := logoutToken(w, r)
	if status != http.StatusOK {
		writeError(w, status, "invalid_request", "Expected a form with one logout_token, without delay.")
		return
	}
	ended, err := h.logout(r.Context(), method, token, h.From(r))
	down := (*signin.DownError)(nil)
	const failed = "a logout token of a provider ended no sessions"
	switch {
	case err == nil:
		h.Log.Info("a provider ended sessions", zap.String("signin", id), zap.Int("sessions", ended))
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, signin.ErrAnswer):
		h.warnOf(&h.refusedLogouts, id, err, r, failed, zap.String("signin", id))
		writeError(w, http.StatusBadRequest, "invalid_request", "The logout token is not valid.")
	case errors.Is(err, signin.ErrBusy), errors.As(err, &down):
		h.warnOf(&h.lostLogouts, id, err, r, failed, zap.String("signin", id))
		writeError(w, http.StatusBadRequest, "temporarily_unavailable", "The logout token could not be checked; send it again.")
	default: // unauthenticated requests do not get here
		h.Log.Warn(failed, zap.String("signin", id), zap.Error(err))
		writeError(w, http.StatusBadRequest, "server_error", "The sessions could not be ended; send the token again.")
	}
}

// logoutToken reads the parameter logout_token. If that fails, it returns the status
// of the answer: 408 for a timeout, 400 for all other errors.
func logoutToken(w http.ResponseWriter, r *http.Request) (token string, status int) {
	if !httpapi.IsForm(r) {
		return "", http.StatusBadRequest
	}
	body, err := httpapi.Body(w, r, maxLogoutRequest)
	if httpapi.BodyStatus(err) == http.StatusRequestTimeout {
		return "", http.StatusRequestTimeout
	}
	form, malformed := url.ParseQuery(string(body))
	if err != nil || malformed != nil || len(form["logout_token"]) != 1 || form.Get("logout_token") == "" {
		return "", http.StatusBadRequest
	}
	return form.Get("logout_token"), http.StatusOK
}

// logout ends the sessions in a logout token, and returns their number.
func (h *Hosted) logout(ctx context.Context, method signin.LogoutReceiver, token string, from oauth.Origin) (int, error) {
	l, err := method.Logout(ctx, token)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256([]byte(method.ID() + "\x00" + l.ID))
	used := "logout:" + hex.EncodeToString(sum[:])
	remember := max(l.Until.Sub(h.Now()), 0) + sharedclock.BetweenNodes + time.Minute
	first, err := h.Store.CompareAndSwap(ctx, used, nil, []byte{1}, remember)
	unmarked := err
	if unmarked != nil { // the store may be full: what ends makes room
		_, before, err := h.Store.Get(ctx, used)
		if err != nil || before {
			return 0, fmt.Errorf("marking a logout token: %w", unmarked)
		}
		first = true
	}
	if !first {
		return 0, fmt.Errorf("%w: it was used before", signin.ErrAnswer)
	}
	ended, err := h.endOf(ctx, method, l, from)
	switch {
	case err != nil:
		// The provider may send the token again, since it ended no session.
		if _, _, again := h.Store.Take(context.WithoutCancel(ctx), used); again != nil {
			err = errors.Join(err, again)
		}
	case unmarked != nil:
		// If this fails, too, the token may come again, and finds no session.
		if err := h.Store.Put(ctx, used, []byte{1}, remember); err != nil {
			h.Log.Warn("a logout token of a provider is not marked as used", zap.String("signin", method.ID()), zap.Error(err))
		}
	}
	return ended, err
}

// endOf ends the sessions of a logout. One that cannot be ended does not keep it
// from the others.
func (h *Hosted) endOf(ctx context.Context, method signin.Method, l signin.Logout, from oauth.Origin) (int, error) {
	Naming := map[string]bool{}
	if l.Sub != "" { // a session may be from before the method got own subjects, or from after
		Naming[l.Subject], Naming[l.Sub] = true, true
	}
	for kind, name := range map[string]string{"session": l.Session, "user": l.Sub} {
		if name == "" {
			continue
		}
		subject, there, err := h.Store.Get(ctx, providerKey(method.ID(), kind, name))
		if err != nil {
			return 0, fmt.Errorf("finding a provider's session: %w", err)
		}
		if there {
			Naming[string(subject)] = true
		}
	}
	var errs []error
	ended := 0
	for subject := range Naming {
		list, err := h.Server.Sessions.OfProviderSession(ctx, subject, func(u session.User, id string) bool {
			is := l.Session == "" || id == providerKey(method.ID(), "session", l.Session) || id == l.Session // as sessions once kept it
			return u.Signin == method.ID() && is && (l.Sub == "" || u.ProviderID == l.Sub)
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("finding sessions: %w", err))
		}
		for _, s := range list {
			if err := h.Server.Sessions.End(ctx, s.Key()); err != nil {
				errs = append(errs, err)
				continue
			}
			ended++
			h.Server.Audit.Record(oauth.Event{What: oauth.SessionEnded, User: s.User(), Session: s, From: from, Why: method.ID() + " says so"})
		}
	}
	return ended, errors.Join(errs...)
}
