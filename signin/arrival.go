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

// An Arrival is who came back from a provider, and what it gave of its own
// session.
type Arrival struct {
	User session.User

	SessionID    string // what the provider calls its session; may be empty
	RefreshToken string // may be empty
}

// Keeping is a way whose sessions keep what the provider gave of its own
// session.
type Keeping interface {
	Redirecting

	// Arrive is Finish, with all of it.
	Arrive(ctx context.Context, d Departure, answer url.Values) (Arrival, error)
}

// arrive finishes a sign-in at a provider.
func arrive(ctx context.Context, way Redirecting, d Departure, answer url.Values) (Arrival, error) {
	if keeping, ok := way.(Keeping); ok {
		return keeping.Arrive(ctx, d, answer)
	}
	u, err := way.Finish(ctx, d, answer)
	return Arrival{User: u}, err
}

// known is the store's key of what a way calls a session or a user; under it is
// whose sessions those are.
func known(way, kind, name string) string {
	sum := sha256.Sum256([]byte(way + "\x00" + kind + "\x00" + name))
	return "provider:" + hex.EncodeToString(sum[:])
}

// keep notes whose session a provider knows by which name, and returns what the
// session itself keeps.
func (h *Hosted) keep(r *http.Request, way Way, a Arrival) (session.Upstream, error) {
	ctx := r.Context()
	names := map[string]string{}
	if a.SessionID != "" {
		names[known(way.ID(), "session", a.SessionID)] = a.User.Subject
	}
	if a.User.Linked != "" {
		names[known(way.ID(), "user", a.User.ProviderID)] = a.User.Subject
	}
	for key, subject := range names {
		if err := h.Store.Put(ctx, key, []byte(subject), max(h.Lifetime, time.Minute)); err != nil {
			return session.Upstream{}, fmt.Errorf("noting what a provider calls a session: %w", err)
		}
	}
	up := session.Upstream{}
	if a.SessionID != "" {
		up.ID = known(way.ID(), "session", a.SessionID) // which it may have written as it likes
	}
	renewing, ok := way.(Renewing)
	if !ok {
		return up, nil
	}
	at, every := renewing.Renewal()
	if every <= 0 {
		return up, nil
	}
	if a.RefreshToken == "" {
		h.warn(h.noRefresh.Of(way.ID()), r, "the provider gave no refresh token, so that recheck does nothing for a session that begins now; most give one for the scope offline_access",
			zap.String("signin", way.ID()))
		return up, nil
	}
	sealed, err := h.Keys.Seal(ctx, refreshPurpose(way, at), []byte(a.RefreshToken))
	if err != nil {
		return session.Upstream{}, fmt.Errorf("sealing a refresh token of a provider: %w", err)
	}
	up.Refresh, up.Every = sealed, every
	return up, nil
}
