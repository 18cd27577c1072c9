package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// Grants knows which grants have ended. A grant without the scope offline also ends
// with its session; nothing is stored for it until it ends by itself, so that
// redeeming a code needs no write. A grant with offline is stored, and ends if its
// refresh token is not used for too long.
type Grants struct {
	store    storage.Store
	sessions *session.Sessions
	format   records.Format
}

// A Grant is the grant that a token names.
type Grant struct {
	ID      string
	Session session.Key
	Offline bool // it outlives its session
}

// newGrantID returns an ID with the client, so that every token of the grant names
// that client, even after an exchange.
func newGrantID(c *Client) string { return newID() + "." + c.ID }

// grantedTo is the client that a grant was given to; "" for a grant of an old
// release.
func grantedTo(grant string) string {
	_, client, _ := strings.Cut(grant, ".")
	return client
}

// NewGrants returns Grants over a store. Records have the format of the sessions.
func NewGrants(store storage.Store, sessions *session.Sessions) *Grants {
	return &Grants{store: store, sessions: sessions, format: sessions.Format()}
}

// endedFor is how long the mark of an ended grant is kept: longer than any of its
// tokens is valid, whatever the token_lifetime of its client was.
const endedFor = MaxTokenLifetime + time.Hour

// End ends a grant: all nodes refuse its tokens from now on. A stored grant is
// removed, which works even if the store is full. For any other grant, End pins the
// mark that it has ended, and looks again: see [Grants.confirm].
func (g *Grants) End(ctx context.Context, id string) error {
	_, stored, err := g.store.Get(ctx, grantKey(id))
	if err != nil {
		return fmt.Errorf("ending grant: %w", err)
	}
	if stored {
		_, err := g.remove(ctx, id)
		return err
	}
	if err := g.store.Pin(ctx, endedKey(id), []byte{1}, endedFor); err != nil {
		return fmt.Errorf("ending grant: %w", err)
	}
	_, err = g.remove(ctx, id)
	return err
}

// remove removes the record of a grant, and reports whether there was one. It also
// removes the list entry; if that fails, the entry of an ended grant stays.
func (g *Grants) remove(ctx context.Context, id string) (bool, error) {
	value, ok, err := g.take(ctx, id)
	if err != nil || !ok {
		return false, err
	}
	if grant, err := g.decode(value); err == nil {
		_ = g.unlist(ctx, grant.User.Subject, []string{id})
	}
	return true, nil
}

func (g *Grants) take(ctx context.Context, id string) (value []byte, ok bool, err error) {
	value, ok, err = g.store.Take(ctx, grantKey(id))
	if err != nil {
		return nil, false, fmt.Errorf("ending grant: %w", err)
	}
	return value, ok, nil
}

// Active reports whether the tokens of a grant are still valid.
func (g *Grants) Active(ctx context.Context, grant Grant) (bool, error) {
	known, err := g.read(ctx, grant.ID, grant.Offline)
	if err != nil || known.over() || grant.Offline {
		return err == nil && !known.over(), err
	}
	_, err = g.sessions.Lookup(ctx, grant.Session)
	if errors.Is(err, session.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking up the session of a grant: %w", err)
	}
	return true, nil
}

// hasEnded reports whether a grant was ended.
func (g *Grants) hasEnded(ctx context.Context, id string) (bool, error) {
	_, ended, err := g.store.Get(ctx, endedKey(id))
	if err != nil {
		return false, fmt.Errorf("looking up grant: %w", err)
	}
	return ended, nil
}

// Prefixes of storage keys: EndedPrefix for the marks of ended grants, which are kept
// for EndedFor, and GrantPrefix for persistent grants, which are removed when they
// end. No key is ever used again.
const (
	EndedPrefix = endedPrefix
	EndedFor    = endedFor
	GrantPrefix = grantPrefix
)

const (
	endedPrefix = "ended:"
	grantPrefix = "grant:"
)

func endedKey(id string) string { return endedPrefix + id }
