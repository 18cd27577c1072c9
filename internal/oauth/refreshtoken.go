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

// A refreshToken is what one holds: which grant it is for, and a secret of
// which the store has the hash. It travels sealed, so that nobody who only
// knows the grant can present one that looks used, and end it.
//
// The secret says where in its family the token stands, too. It is 18 random
// bytes, the mark that it says so, and the [place]. Tokens of older releases have
// 32 random bytes, and nodes of older releases take those of this one for such.
type refreshToken struct {
	grant  string
	secret [32]byte
}

// A place is where in its family a refresh token stands.
type place struct {
	number uint32   // the first token of a grant has 1
	store  storeTag // as the token was made
}

// A storeTag is the beginning of the hash of a store's identity, zero where that
// was not known.
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

// place is where the token stands; a token of an older release does not say.
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

	// copy tells how it is sealed, which is anew each time that it is given. Who
	// sends the same copy again may have had no answer. Who sends another one was
	// given the token another time, or is somebody else.
	copy []byte
	at   int64 // milliseconds since 1970
}

const copyBytes = 8

func (s *Server) openPresented(ctx context.Context, sealed string) (presentedRefresh, error) {
	t, err := s.openRefresh(ctx, sealed)
	sum := sha256.Sum256([]byte(sealed))
	return presentedRefresh{t, sum[:copyBytes], s.Now().UnixMilli()}, err
}
