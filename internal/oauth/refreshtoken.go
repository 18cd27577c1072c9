package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

const (
	refreshLabel   = "refresh token"
	successorLabel = "refresh token's successor"
)

// A refreshToken has the ID of its grant, and a secret of which the store has the
// hash. The client gets it sealed, so that knowing a grant is not enough to forge a
// token that looks used, which would end the grant.
//
// The secret also has the place of the token in its family: 18 random bytes, a
// marker, and the [place]. Tokens of old releases have 32 random bytes, and nodes of
// old releases read the secret of a new token as random bytes.
type refreshToken struct {
	grant  string
	secret [32]byte
}

// A place is the position of a refresh token in its family.
type place struct {
	number uint32   // the first token of a grant has 1
	store  storeTag // when the token was made
}

// A storeTag is the beginning of the hash of a store's identity; zero if that was
// unknown.
type storeTag [6]byte

func tagOf(identity string) (tag storeTag) {
	if identity != "" {
		sum := sha256.Sum256([]byte(identity))
		copy(tag[:], sum[:])
	}
	return tag
}

const (
	randomBytes = 18
	placeMark   = "\xb7seq"
	numberAt    = randomBytes + len(placeMark)
	storeAt     = numberAt + 4
)

func newRefreshToken(grant string, p place) refreshToken {
	t := refreshToken{grant: grant}
	rand.Read(t.secret[:randomBytes]) //nolint:errcheck // never fails: crypto/rand aborts the program instead
	copy(t.secret[randomBytes:], placeMark)
	binary.BigEndian.PutUint32(t.secret[numberAt:], p.number)
	copy(t.secret[storeAt:], p.store[:])
	return t
}

// place returns the position of the token. A token of an old release has none.
func (t refreshToken) place() (p place, ok bool) {
	if string(t.secret[randomBytes:numberAt]) != placeMark {
		return place{}, false
	}
	return place{binary.BigEndian.Uint32(t.secret[numberAt:]), storeTag(t.secret[storeAt:])}, true
}

func (t refreshToken) hash() [sha256.Size]byte { return sha256.Sum256(t.secret[:]) }

func (s *Server) sealRefresh(ctx context.Context, t refreshToken) (string, error) {
	return s.Keys.Seal(ctx, refreshLabel, append([]byte(t.grant), t.secret[:]...))
}

func (s *Server) openRefresh(ctx context.Context, sealed string) (refreshToken, error) {
	plain, err := s.Keys.Unseal(ctx, refreshLabel, sealed)
	if err != nil {
		return refreshToken{}, err
	}
	secret := len(plain) - len(refreshToken{}.secret)
	if secret <= 0 {
		return refreshToken{}, keys.ErrSealed
	}
	return refreshToken{string(plain[:secret]), [32]byte(plain[secret:])}, nil
}

// A presentedRefresh is a refresh token as a client sends it.
type presentedRefresh struct {
	refreshToken

	// copy identifies the sealed value. A token is sealed differently for each
	// answer. The same copy again may mean that the answer was lost. Another copy
	// comes from another answer, and perhaps from another holder.
	copy []byte
	at   int64 // milliseconds since 1970
}

const copyBytes = 8

func (s *Server) openPresented(ctx context.Context, sealed string) (presentedRefresh, error) {
	t, err := s.openRefresh(ctx, sealed)
	sum := sha256.Sum256([]byte(sealed))
	return presentedRefresh{t, sum[:copyBytes], s.Now().UnixMilli()}, err
}
