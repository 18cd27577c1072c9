package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// maxOfflineGrants is how many grants with scope offline one user may have.
// Beyond it the oldest ends.
const maxOfflineGrants = 64

// An offlineGrant is a grant with scope offline as it is stored: what its
// tokens are made of, and the one refresh token that counts. The tokens that
// descend from one another are its family; known are that one and those that
// were used within the grace, in their order.
type offlineGrant struct {
	Version  int          `json:"v"`
	Client   string       `json:"client"`
	User     session.User `json:"user"` // as of the sign-in
	Session  string       `json:"session"`
	Scopes   []string     `json:"scopes"`
	Audience []string     `json:"audience"`
	AuthTime int64        `json:"auth_time"` // Unix seconds

	// OfflineAccess says that scope offline was asked for as offline_access.
	OfflineAccess bool `json:"offline_access,omitempty"`

	// For its user to know it by. Zero in grants of before, and Used until the
	// first refresh.
	Begun int64 `json:"begun,omitempty"`     // Unix seconds
	Used  int64 `json:"last_used,omitempty"` // Unix seconds

	Current [sha256.Size]byte `json:"current"` // hash of the refresh token's secret
	Spent   []spentRefresh    `json:"used,omitempty"`
}

// A spentRefresh is a refresh token that was used a moment ago. For tabs that
// race it has its successor, sealed under itself.
type spentRefresh struct {
	Hash      [sha256.Size]byte `json:"hash"`
	At        int64             `json:"at"` // milliseconds since 1970
	Successor []byte            `json:"successor"`
}

const offlineVersion = 1

// maxSpent bounds how many refresh tokens that were used within the grace are
// known: no client that means well uses so many.
const maxSpent = 16

// spend makes current the hash of the token that counts. s was it until now.
func (g *offlineGrant) spend(s spentRefresh, current [sha256.Size]byte) {
	g.Current, g.Used = current, s.At/1000
	g.Spent = slices.DeleteFunc(g.Spent, func(old spentRefresh) bool { return !old.usedAround(s.At) })
	g.Spent = append(g.Spent[max(len(g.Spent)+1-maxSpent, 0):], s)
}

// succeed follows a token that was used within the grace to the one that counts
// by now.
func (g *offlineGrant) succeed(t refreshToken, now int64) (refreshToken, error) {
	used := false
	for _, s := range g.Spent {
		if hash := t.hash(); subtle.ConstantTimeCompare(s.Hash[:], hash[:]) != 1 || !s.usedAround(now) {
			continue
		}
		secret, err := keys.UnsealUnder(t.secret[:], successorPurpose, s.Successor)
		if err != nil || len(secret) != len(t.secret) {
			return t, errReused
		}
		t.secret, used = [32]byte(secret), true
	}
	if hash := t.hash(); !used || subtle.ConstantTimeCompare(g.Current[:], hash[:]) != 1 {
		return t, errReused
	}
	return t, nil
}

// usedAround says whether the token was used within the grace. The clock of
// another node may be a little ahead.
func (s spentRefresh) usedAround(now int64) bool {
	return max(now-s.At, s.At-now) <= RefreshGrace.Milliseconds()
}

func decodeOffline(stored []byte) (*offlineGrant, error) {
	var g offlineGrant
	if json.Unmarshal(stored, &g) != nil || g.Version != offlineVersion || g.User.Subject == "" {
		return nil, errors.New("decoding a grant: not of this version")
	}
	return &g, nil
}

func (g *offlineGrant) encode() ([]byte, error) {
	value, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("encoding a grant: %w", err)
	}
	return value, nil
}

// beginTimeout bounds how long a grant is being stored.
const beginTimeout = 30 * time.Second

// begin stores a grant with scope offline. The list of its user comes first, so
// that none is ever left off it.
func (g *Grants) begin(ctx context.Context, id string, grant *offlineGrant, lifetime time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
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
		removed, err := g.remove(ctx, old)
		if err == nil && !removed { // it may be about to be stored
			err = g.end(ctx, old, endedStoredFor)
		}
		if err != nil {
			return err
		}
	}
	return g.confirm(ctx, id, grant)
}

// keepListed sees that a grant in use is on the list of its user: a store that
// forgets what was not used for longest would take that for unused, and whoever
// ends all that a user has goes by it.
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

// confirm ends a grant that was ended before it was stored, or with its session:
// whoever did so has found nothing to take.
func (g *Grants) confirm(ctx context.Context, id string, grant *offlineGrant) error {
	ended, err := g.hasEnded(ctx, id)
	if err != nil {
		return err
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
	return errors.Join(errEnded, g.end(ctx, id, endedStoredFor))
}

// offline returns a stored grant, nil where it has ended.
func (g *Grants) offline(ctx context.Context, id string) (*offlineGrant, error) {
	value, ok, err := g.store.Get(ctx, grantKey(id))
	if err != nil {
		return nil, fmt.Errorf("looking up grant: %w", err)
	}
	if !ok {
		return nil, nil
	}
	grant, err := decodeOffline(value)
	if err != nil {
		return nil, nil //nolint:nilerr // a grant of another version has ended
	}
	return grant, nil
}

// EndUser ends all grants of a user that outlive a session, and returns how
// many there were. One that cannot be ended does not keep it from the others.
func (g *Grants) EndUser(ctx context.Context, subject string) (int, error) {
	return g.endOthers(ctx, subject, "")
}

// endOthers is EndUser but for one grant.
func (g *Grants) endOthers(ctx context.Context, subject, but string) (int, error) {
	stored, _, err := g.store.Get(ctx, grantsOf(subject))
	if err != nil {
		return 0, fmt.Errorf("listing the grants of a user: %w", err)
	}
	ended := 0
	var errs []error
	for id := range strings.FieldsSeq(string(stored)) {
		if id == but {
			continue
		}
		grant, err := g.offline(ctx, id)
		if err == nil {
			err = g.end(ctx, id, endedStoredFor) // one that is not there may be about to be stored
		}
		switch {
		case err != nil:
			errs = append(errs, err)
		case grant != nil:
			ended++
		}
	}
	return ended, errors.Join(errs...)
}

// EndMatching ends all grants that outlive a session whose user, as of the
// sign-in, is one that match wants, and returns how many it ended. It is for
// administration: it reads all grants. One that cannot be ended does not keep it
// from the others.
func (g *Grants) EndMatching(ctx context.Context, match func(session.User) bool) (int, error) {
	var ids []string
	err := g.store.Scan(ctx, grantPrefix, func(key string, value []byte) error {
		if grant, err := decodeOffline(value); err == nil && match(grant.User) {
			ids = append(ids, strings.TrimPrefix(key, grantPrefix))
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("looking for grants: %w", err)
	}
	ended := 0
	var errs []error
	for _, id := range ids {
		if err := g.end(ctx, id, endedStoredFor); err != nil {
			errs = append(errs, err)
			continue
		}
		ended++
	}
	return ended, errors.Join(errs...)
}

// delist takes a grant that has ended off the list of its user. Should this
// fail, it stays there as one that has ended.
func (g *Grants) delist(ctx context.Context, subject, id string) {
	_ = storage.Update(ctx, g.store, grantsOf(subject), listedFor, func(stored []byte) ([]byte, bool, error) {
		ids := strings.Fields(string(stored))
		left := slices.DeleteFunc(slices.Clone(ids), func(other string) bool { return other == id })
		return []byte(strings.Join(left, " ")), len(left) < len(ids), nil
	})
}

// listedFor is how long a list of grants is kept: longer than anybody refreshes
// without signing in anew. What has expired on it makes room like all else.
const listedFor = 10 * maxRefreshLifetime

func grantKey(id string) string { return grantPrefix + id }

// grantsOf is the store's key of a user's list. Subjects may be of any length.
func grantsOf(subject string) string {
	return fmt.Sprintf("grants:%x", sha256.Sum256([]byte(subject)))
}
