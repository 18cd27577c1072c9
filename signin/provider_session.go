package signin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/session"
)

// An ProviderSignIn is who came back from a provider, and what it gave of its own
// session.
type ProviderSignIn struct {
	User session.User

	SessionID    string // what the provider calls its session; may be empty
	RefreshToken string // may be empty
}

// ProviderSessionMethod is a way whose sessions keep what the provider gave of its own
// session.
type ProviderSessionMethod interface {
	ProviderMethod

	// FinishSession is Finish, with all of it.
	FinishSession(ctx context.Context, d ProviderRequest, answer url.Values) (ProviderSignIn, error)
}

// finishSession finishes a sign-in at a provider.
func finishSession(ctx context.Context, method ProviderMethod, d ProviderRequest, answer url.Values) (ProviderSignIn, error) {
	if keeping, ok := method.(ProviderSessionMethod); ok {
		return keeping.FinishSession(ctx, d, answer)
	}
	u, err := method.Finish(ctx, d, answer)
	return ProviderSignIn{User: u}, err
}

// known is the store's key of what a way calls a session or a user; under it is
// whose sessions those are.
func known(method, kind, name string) string {
	sum := sha256.Sum256([]byte(method + "\x00" + kind + "\x00" + name))
	return "provider:" + hex.EncodeToString(sum[:])
}

// keep notes whose session a provider knows by which name, and returns what the
// session itself keeps.
func (h *Hosted) keep(r *http.Request, method Method, a ProviderSignIn) (session.ProviderSession, error) {
	ctx := r.Context()
	names := map[string]string{}
	if a.SessionID != "" {
		names[known(method.ID(), "session", a.SessionID)] = a.User.Subject
	}
	if a.User.Linked != "" {
		names[known(method.ID(), "user", a.User.ProviderID)] = a.User.Subject
	}
	for key, subject := range names {
		if err := h.Store.Put(ctx, key, []byte(subject), max(h.Lifetime, time.Minute)); err != nil {
			return session.ProviderSession{}, fmt.Errorf("noting what a provider calls a session: %w", err)
		}
	}
	up := session.ProviderSession{}
	if a.SessionID != "" {
		up.ID = known(method.ID(), "session", a.SessionID) // which it may have written as it likes
	}
	renewing, ok := method.(Renewer)
	if !ok {
		return up, nil
	}
	at, every := renewing.Renewal()
	if every <= 0 {
		return up, nil
	}
	if a.RefreshToken == "" {
		h.warn(h.noRefresh.Of(method.ID()), r, "the provider gave no refresh token, so that recheck does nothing for a session that begins now; most give one for the scope offline_access",
			zap.String("signin", method.ID()))
		return up, nil
	}
	sealed, err := h.Keys.Seal(ctx, refreshLabel(method, at), []byte(a.RefreshToken))
	if err != nil {
		return session.ProviderSession{}, fmt.Errorf("sealing a refresh token of a provider: %w", err)
	}
	up.Refresh, up.Every = sealed, every
	return up, nil
}
