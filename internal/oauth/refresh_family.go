package oauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/storage"
)

// RefreshGrace is how long a used refresh token gives the current one, so that two
// tabs that race do not end the grant.
const RefreshGrace = 10 * time.Second

// maxSpent bounds the number of remembered tokens that were used within the grace. A
// well-behaved client uses fewer.
const maxSpent = 16

// A reusedError says why a refresh token ends its grant: two holders have tokens of
// the family (RFC 9700 section 4.14.2).
type reusedError struct{ why string }

func (e *reusedError) Error() string { return e.why }

var errReused = &reusedError{"a refresh token was used twice"}

// A rotation is the result of a presented refresh token.
type rotation struct {
	next  refreshToken
	again bool // it gave the same successor before
	ahead bool // the store did not know the token
}

// rotate replaces the current token by a new one, if presented is the current one. A
// used token gives its successor, or the current token, again, as long as
// [offlineGrant.currentAfter] allows. A token that the store has lost is accepted as the
// current one if [Server.checkAhead] allows.
func (s *Server) rotate(ctx context.Context, grant *offlineGrant, p presentedRefresh) (done rotation, changed []byte, err error) {
	// The identity is read before the write, so that the token never names an older store.
	identity := storage.Identity(s.Store, grantKey(p.grant))
	if !grant.isCurrent(p.refreshToken) {
		next, known, err := grant.currentAfter(p)
		if known || err != nil {
			return rotation{next: next, again: true}, nil, err
		}
		if identity, err = s.checkAhead(ctx, grant, p); err != nil {
			return rotation{}, nil, err
		}
		done.ahead = true
	}
	at, _ := p.place()
	done.next = newRefreshToken(p.grant, place{max(grant.Number, at.number) + 1, tagOf(identity)})
	if err := grant.spend(p, done.next); err != nil {
		return rotation{}, nil, err
	}
	changed, err = grant.encode()
	return done, changed, err
}

// checkAhead reports whether the store may have lost a token: the record has an older
// number, and the store's identity has changed since the token was made, as after a
// failover to a replica that was behind. After its use the store knows the token. It
// returns the current identity of the store.
func (s *Server) checkAhead(ctx context.Context, grant *offlineGrant, p presentedRefresh) (identity string, err error) {
	at, ok := p.place()
	if !ok || at.number <= grant.Number {
		return "", errReused
	}
	if identity, err = storage.AskIdentity(ctx, s.Store, grantKey(p.grant)); err != nil {
		return "", fmt.Errorf("asking the store which one it is: %w", err)
	}
	if now, unknown := tagOf(identity), (storeTag{}); now == unknown || at.store == unknown || now == at.store {
		return "", &reusedError{"a refresh token is newer than the stored grant, and no failover explains it"}
	}
	return identity, nil
}

// isCurrent reports whether a token is the current one.
func (g *offlineGrant) isCurrent(t refreshToken) bool { return t.matches(g.Current) }

func (t refreshToken) matches(hash [sha256.Size]byte) bool {
	own := t.hash()
	return subtle.ConstantTimeCompare(own[:], hash[:]) == 1
}

// spend replaces p by next as the current token.
func (g *offlineGrant) spend(p presentedRefresh, next refreshToken) error {
	sealed, err := keys.SealUnder(p.secret[:], successorLabel, next.secret[:])
	if err != nil {
		return err
	}
	place, _ := next.place()
	g.Current, g.Number, g.Used = next.hash(), place.number, p.at/1000
	all := append(g.Spent, spentRefresh{Hash: p.hash(), At: p.at, Successor: sealed, Copy: p.copy})
	g.Spent = nil
	for i := max(len(all)-maxSpent, 0); i < len(all); i++ {
		if all[i].usedWithinGrace(p.at) || all[i+1].usedWithinGrace(p.at) { // the current one is used now
			g.Spent = append(g.Spent, all[i])
		}
	}
	return nil
}

// currentAfter returns the current token for a used one, if the used one is known.
func (g *offlineGrant) currentAfter(p presentedRefresh) (next refreshToken, known bool, err error) {
	next = p.refreshToken
	for i, s := range g.Spent {
		if !next.matches(s.Hash) {
			continue
		}
		if !known && !g.mayRepeat(i, p) {
			return next, true, errReused
		}
		secret, err := keys.UnsealUnder(next.secret[:], successorLabel, s.Successor)
		if err != nil || len(secret) != len(next.secret) {
			return next, true, errReused
		}
		next.secret, known = [32]byte(secret), true
	}
	if known && !g.isCurrent(next) {
		return next, true, errReused
	}
	return next, known, nil
}

// mayRepeat reports whether a used token gives its successor again. Within the grace it
// does. After that only the sealed copy that was used does, until the successor is
// used, since the answer may have been lost, and a moment longer, for tabs that
// repeat their requests together.
func (g *offlineGrant) mayRepeat(i int, p presentedRefresh) bool {
	s := g.Spent[i]
	if s.usedWithinGrace(p.at) {
		return true
	}
	if s.Copy != nil && !bytes.Equal(s.Copy, p.copy) {
		return false
	}
	return i == len(g.Spent)-1 || g.Spent[i+1].usedWithinGrace(p.at)
}

// usedWithinGrace reports whether the token was used within the grace. The clock of
// another node may be a little ahead.
func (s spentRefresh) usedWithinGrace(now int64) bool {
	return max(now-s.At, s.At-now) <= RefreshGrace.Milliseconds()
}
