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

// Grants knows which grants have ended. A grant that was given without scope
// offline also ends with its session; nothing is stored for it until it ends
// by itself, so that redeeming a code costs no write. One with scope offline is
// stored, and lives until its refresh token is not used for too long.
type Grants struct {
	store    storage.Store
	sessions *session.Sessions
	format   records.Format
}

// A Grant is one user's consent turned into tokens: what a token says of it.
type Grant struct {
	ID      string
	Session session.Key
	Offline bool // lives on when the session ends
}

// newGrantID names a grant after its client, so that each of its tokens tells,
// whoever has exchanged it.
func newGrantID(c *Client) string { return newID() + "." + c.ID }

// grantedTo is the client that a grant was given to; "" where the grant is older
// than such names.
func grantedTo(grant string) string {
	_, client, _ := strings.Cut(grant, ".")
	return client
}

// NewGrants keeps ended grants in store. Those with scope offline are stored in
// the format of the sessions.
func NewGrants(store storage.Store, sessions *session.Sessions) *Grants {
	return &Grants{store: store, sessions: sessions, format: sessions.Format()}
}

// endedFor is how long the end of a grant is remembered of which nothing is
// stored: longer than any of its tokens lives, whatever the token_lifetime of
// its client was when they were issued.
const endedFor = MaxTokenLifetime + time.Hour

// End ends a grant: its tokens are refused from now on, everywhere. What is stored
// of one is removed, which works in a store that is full. Where nothing is stored,
// End pins the mark that the grant has ended, and looks again: see
// [Grants.confirm].
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

// remove removes what is stored of a grant, and says whether that was there. It
// comes off the list of its user; should that fail, it stays there as one that has
// ended.
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

// Active says whether the tokens of a grant still count.
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

// hasEnded says whether a grant was ended.
func (g *Grants) hasEnded(ctx context.Context, id string) (bool, error) {
	_, ended, err := g.store.Get(ctx, endedKey(id))
	if err != nil {
		return false, fmt.Errorf("looking up grant: %w", err)
	}
	return ended, nil
}

// What stored keys of grants begin with: EndedPrefix those of marks that a grant
// has ended, which are kept for EndedFor, and GrantPrefix those of grants that
// outlive their session, each of which is removed when it ends. None is ever used
// again.
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
