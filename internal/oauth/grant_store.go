package oauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// maxOfflineGrants is the number of persistent grants of one user. Beyond it the
// oldest ends.
const maxOfflineGrants = 64

// An offlineGrant is a stored grant: the parameters of its tokens, and its current
// refresh token. All refresh tokens of a grant are its family. The record knows the
// current one, its predecessor, and those that were used within the grace, in their
// order.
type offlineGrant struct {
	Version  int          `json:"v" cbor:"0,keyasint"`
	Client   string       `json:"client" cbor:"1,keyasint"`
	User     session.User `json:"user" cbor:"2,keyasint"` // at the sign-in
	Session  string       `json:"session" cbor:"3,keyasint"`
	Scopes   []string     `json:"scopes" cbor:"4,keyasint"`
	Audience []string     `json:"audience" cbor:"5,keyasint"`
	AuthTime int64        `json:"auth_time" cbor:"6,keyasint"` // Unix seconds

	// OfflineAccess means that the scope offline was requested as offline_access.
	OfflineAccess bool `json:"offline_access,omitempty" cbor:"12,keyasint,omitempty"`

	// Shown to the user. Zero in grants of old releases; Used is zero until the first
	// refresh.
	Begun int64 `json:"begun,omitempty" cbor:"7,keyasint,omitempty"`     // Unix seconds
	Used  int64 `json:"last_used,omitempty" cbor:"8,keyasint,omitempty"` // Unix seconds

	Current [sha256.Size]byte `json:"current" cbor:"9,keyasint"` // hash of the refresh token's secret
	Spent   []spentRefresh    `json:"used,omitempty" cbor:"10,keyasint,omitempty"`
	Number  uint32            `json:"number,omitempty" cbor:"11,keyasint,omitempty"` // of that token; zero in grants of old releases

	format records.Format // the format to write
	stored []byte         // the bytes that it was decoded from
}

// A spentRefresh is a used refresh token. It has its successor, sealed under the used
// token, for tabs that race and for clients whose answer was lost.
type spentRefresh struct {
	Hash      [sha256.Size]byte `json:"hash" cbor:"1,keyasint"`
	At        int64             `json:"at" cbor:"2,keyasint"` // milliseconds since 1970
	Successor []byte            `json:"successor" cbor:"3,keyasint"`
	Copy      []byte            `json:"copy,omitempty" cbor:"4,keyasint,omitempty"` // which sealed copy was used; nil: not stored
}

const offlineVersion = records.Version

// decode decodes a stored grant. It will be written in the current format.
func (g *Grants) decode(stored []byte) (*offlineGrant, error) {
	grant := &offlineGrant{format: g.format, stored: stored}
	if err := records.Decode(stored, grant, &grant.Version); err != nil {
		return nil, fmt.Errorf("decoding a grant: %w", err)
	}
	if grant.User.Subject == "" {
		return nil, errors.New("decoding a grant: incomplete")
	}
	return grant, nil
}

func (g *offlineGrant) encode() ([]byte, error) {
	value, err := records.Encode(g.format, g, g.stored)
	if err != nil {
		return nil, fmt.Errorf("encoding a grant: %w", err)
	}
	return value, nil
}

// beginTimeout bounds how long storing a grant takes.
const beginTimeout = 30 * time.Second

// begin stores a persistent grant. It writes the list of its user first, so that the
// list is always complete.
func (g *Grants) begin(ctx context.Context, id string, grant *offlineGrant, lifetime time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	grant.format = g.format
	value, err := grant.encode()
	if err != nil {
		return err
	}
	var tooMany []string
	err = storage.Update(ctx, g.store, grantsOf(grant.User.Subject), listedFor, func(stored []byte) ([]byte, bool, error) {
		ids := append(strings.Fields(string(stored)), id)
		over := max(len(ids)-maxOfflineGrants, 0)
		tooMany = ids[:over]
		return []byte(strings.Join(ids[over:], " ")), true, nil
	})
	if err != nil {
		return fmt.Errorf("listing a grant: %w", err)
	}
	if err := g.store.Put(ctx, grantKey(id), value, lifetime); err != nil {
		return fmt.Errorf("storing a grant: %w", err)
	}
	for _, old := range tooMany {
		if _, err := g.remove(ctx, old); err != nil { // a grant that is not stored yet ends as soon as it is: see confirm
			return err
		}
	}
	return g.confirm(ctx, id, grant)
}

// keepListed makes sure that a grant in use is on the list of its user, and reads the
// list, so that a store does not evict it as unused. Ending a user depends on the
// list.
func (g *Grants) keepListed(ctx context.Context, subject, id string) error {
	return storage.Update(ctx, g.store, grantsOf(subject), listedFor, func(stored []byte) ([]byte, bool, error) {
		ids := strings.Fields(string(stored))
		if slices.Contains(ids, id) {
			return nil, false, nil
		}
		return []byte(strings.Join(append([]string{id}, ids...), " ")), true, nil
	})
}

var errEnded = errors.New("the grant has ended")

// confirm ends a grant that was ended, by itself or with its session, before it was
// stored. Then there was no record to remove, but there is the mark, or the list
// entry is missing.
func (g *Grants) confirm(ctx context.Context, id string, grant *offlineGrant) error {
	ended, err := g.hasEnded(ctx, id)
	if err != nil {
		return err
	}
	if !ended {
		listed, err := g.listed(ctx, grant.User.Subject)
		if err != nil {
			return err
		}
		ended = !slices.Contains(listed, id)
	}
	if !ended {
		key, _ := parseSessionID(grant.Session)
		lives, err := g.sessions.Stored(ctx, key)
		if err != nil {
			return fmt.Errorf("looking up the session of a grant: %w", err)
		}
		ended = !lives
	}
	if !ended {
		return nil
	}
	_, err = g.remove(ctx, id)
	return errors.Join(errEnded, err)
}

// listed returns the grants on the list of a user, the oldest first. Some may have
// ended.
func (g *Grants) listed(ctx context.Context, subject string) ([]string, error) {
	stored, _, err := g.store.Get(ctx, grantsOf(subject))
	if err != nil {
		return nil, fmt.Errorf("listing the grants of a user: %w", err)
	}
	return strings.Fields(string(stored)), nil
}

// offline returns a stored grant; nil if it has ended.
func (g *Grants) offline(ctx context.Context, id string) (*offlineGrant, error) {
	value, ok, err := g.store.Get(ctx, grantKey(id))
	if err != nil {
		return nil, fmt.Errorf("looking up grant: %w", err)
	}
	if !ok {
		return nil, nil
	}
	grant, err := g.decode(value)
	if errors.Is(err, records.ErrVersion) {
		return nil, err
	}
	if err != nil {
		return nil, nil //nolint:nilerr // what cannot be read has ended
	}
	return grant, nil
}

// listedFor is how long a list of grants is kept: longer than the longest refresh
// lifetime. Expired entries are removed like others.
const listedFor = 10 * maxRefreshLifetime

func grantKey(id string) string { return grantPrefix + id }

// grantsOf is the storage key of a user's list. A subject may have any length.
func grantsOf(subject string) string {
	return fmt.Sprintf("grants:%x", sha256.Sum256([]byte(subject)))
}
