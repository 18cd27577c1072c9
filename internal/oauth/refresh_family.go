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

// RefreshGrace is for how long a refresh token that was just used gives what
// became of its successor, so that two tabs which race sign nobody out.
const RefreshGrace = 10 * time.Second

// maxSpent bounds how many refresh tokens that were used within the grace are
// known: no client that means well uses so many.
const maxSpent = 16

// A reusedError says why a refresh token ends its grant: its owner or a thief
// has another (RFC 9700 section 4.14.2).
type reusedError struct{ why string }

func (e *reusedError) Error() string { return e.why }

var errReused = &reusedError{"a refresh token was used twice"}

// A rotation is what becomes of a refresh token that is presented.
type rotation struct {
	next  refreshToken
	again bool // it gave the same before
	ahead bool // the store did not know it
}

// rotate makes another token the one that counts, where presented was. One that
// was used before gives its successor again, or what became of that, for as long
// as [offlineGrant.succeed] says. One that the store does not know any more is as
// good as the one that counts, where [Server.checkAhead] says so.
func (s *Server) rotate(ctx context.Context, grant *offlineGrant, p presentedRefresh) (done rotation, changed []byte, err error) {
	// As it is known before the write, which no older store can be given then.
	identity := storage.Identity(s.Store, grantKey(p.grant))
	if !grant.counts(p.refreshToken) {
		next, known, err := grant.succeed(p)
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

// checkAhead says whether a token that the store does not know was made by it
// and lost: the store has only come to an older one, and is another one since, as
// after a failover to a replica that was behind. Once it has been used, the store
// knows it. It returns the store's identity of now.
func (s *Server) checkAhead(ctx context.Context, grant *offlineGrant, p presentedRefresh) (identity string, err error) {
	at, ok := p.place()
	if !ok || at.number <= grant.Number {
		return "", errReused
	}
	if identity, err = storage.AskIdentity(ctx, s.Store, grantKey(p.grant)); err != nil {
		return "", fmt.Errorf("asking the store which one it is: %w", err)
	}
	if now, unknown := tagOf(identity), (storeTag{}); now == unknown || at.store == unknown || now == at.store {
		return "", &reusedError{"a refresh token is newer than what the store has, which is not known to have lost anything"}
	}
	return identity, nil
}

// counts says whether a token is the one that counts.
func (g *offlineGrant) counts(t refreshToken) bool { return t.is(g.Current) }

func (t refreshToken) is(hash [sha256.Size]byte) bool {
	own := t.hash()
	return subtle.ConstantTimeCompare(own[:], hash[:]) == 1
}

// spend makes next the token that counts, where p was.
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
		if all[i].usedAround(p.at) || all[i+1].usedAround(p.at) { // the last one is used now
			g.Spent = append(g.Spent, all[i])
		}
	}
	return nil
}

// succeed follows a token that was used to the one that counts by now, if the
// used one is known.
func (g *offlineGrant) succeed(p presentedRefresh) (next refreshToken, known bool, err error) {
	next = p.refreshToken
	for i, s := range g.Spent {
		if !next.is(s.Hash) {
			continue
		}
		if !known && !g.gives(i, p) {
			return next, true, errReused
		}
		secret, err := keys.UnsealUnder(next.secret[:], successorLabel, s.Successor)
		if err != nil || len(secret) != len(next.secret) {
			return next, true, errReused
		}
		next.secret, known = [32]byte(secret), true
	}
	if known && !g.counts(next) {
		return next, true, errReused
	}
	return next, known, nil
}

// gives says whether a token that was used gives its successor once more. Within
// the grace it does. The copy of it that was used does for as long as nobody has
// used the successor, since its answer may have been lost, and until a moment
// after that, for tabs that ask again together.
func (g *offlineGrant) gives(i int, p presentedRefresh) bool {
	s := g.Spent[i]
	if s.usedAround(p.at) {
		return true
	}
	if s.Copy != nil && !bytes.Equal(s.Copy, p.copy) {
		return false
	}
	return i == len(g.Spent)-1 || g.Spent[i+1].usedAround(p.at)
}

// usedAround says whether the token was used within the grace. The clock of
// another node may be a little ahead.
func (s spentRefresh) usedAround(now int64) bool {
	return max(now-s.At, s.At-now) <= RefreshGrace.Milliseconds()
}
