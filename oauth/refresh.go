package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	// RefreshGrace is for how long a refresh token that was just used gives the
	// same successor once more, so that two tabs which race sign nobody out.
	RefreshGrace = 10 * time.Second

	refreshPurpose   = "refresh token"
	successorPurpose = "refresh token's successor"
)

// A RefreshRequest trades a refresh token for tokens (RFC 6749 section 6).
type RefreshRequest struct {
	Client  *Client // authenticated
	Token   string
	Scope   []string // nil: what was granted; else no more than that
	IDToken bool     // wanted, where scope openid was granted
	From    Origin
}

// A refreshToken is what one holds: which grant it is for, and a secret of
// which the store has the hash. It travels sealed, so that nobody who only
// knows the grant can present one that looks used, and end it.
type refreshToken struct {
	grant  string
	secret [32]byte
}

func newRefreshToken(grant string) refreshToken {
	t := refreshToken{grant: grant}
	rand.Read(t.secret[:]) //nolint:errcheck // never fails: crypto/rand aborts the program instead
	return t
}

func (t refreshToken) hash() [sha256.Size]byte { return sha256.Sum256(t.secret[:]) }

func (s *Server) sealRefresh(ctx context.Context, t refreshToken) (string, error) {
	return s.Keys.Seal(ctx, refreshPurpose, append([]byte(t.grant), t.secret[:]...))
}

func (s *Server) openRefresh(ctx context.Context, sealed string) (refreshToken, error) {
	plain, err := s.Keys.Unseal(ctx, refreshPurpose, sealed)
	if err != nil {
		return refreshToken{}, err
	}
	secret := len(plain) - len(refreshToken{}.secret)
	if secret <= 0 {
		return refreshToken{}, keys.ErrSealed
	}
	return refreshToken{string(plain[:secret]), [32]byte(plain[secret:])}, nil
}

// beginOffline stores a grant with scope offline, and returns its first refresh
// token.
func (s *Server) beginOffline(ctx context.Context, g given) (string, error) {
	t := newRefreshToken(g.grant)
	err := s.Grants.begin(ctx, g.grant, &offlineGrant{
		Version: offlineVersion, Client: g.client.ID, User: g.user, Session: sessionID(g.session),
		Scopes: g.scopes, OfflineAccess: g.offlineAccess, Audience: g.audience, AuthTime: g.authTime.Unix(), Begun: s.Now().Unix(), Current: t.hash(),
	}, g.client.refreshLifetime())
	if err != nil {
		return "", err
	}
	return s.sealRefresh(ctx, t)
}

// Refresh trades a refresh token, which works once, for tokens and the next
// one. Whoever uses one again after the grace ends the grant: the owner or a
// thief has another (RFC 9700 section 4.14.2).
func (s *Server) Refresh(ctx context.Context, r RefreshRequest) (*Tokens, *Error) {
	presented, err := s.openRefresh(ctx, r.Token)
	if errors.Is(err, keys.ErrSealed) {
		return nil, s.refuseRefresh(r, "", "not one of ours")
	}
	if err != nil {
		return nil, Unavailable(err)
	}
	// A signing key that cannot be had must not cost the token.
	if err := s.Keys.Load(ctx); err != nil {
		return nil, Unavailable(err)
	}
	next := newRefreshToken(presented.grant)
	var grant *offlineGrant
	err = storage.Update(ctx, s.Store, grantKey(presented.grant), r.Client.refreshLifetime(), func(stored []byte) ([]byte, bool, error) {
		if stored == nil {
			return nil, false, &unboundError{"its grant has ended"}
		}
		found, err := decodeOffline(stored)
		if err != nil {
			return nil, false, &unboundError{"its grant is of another version"}
		}
		grant = found
		if why := s.unrefreshable(grant, r); why != "" {
			return nil, false, &unboundError{why}
		}
		return s.rotate(grant, presented, &next)
	})
	refused := (*unboundError)(nil)
	switch {
	case errors.Is(err, errReused):
		return nil, s.refreshReused(ctx, r, presented.grant)
	case errors.As(err, &refused):
		return nil, s.refuseRefresh(r, presented.grant, refused.why)
	case err != nil:
		return nil, Unavailable(err)
	}
	// Should this fail, the next refresh makes up for it.
	_ = s.Grants.keepListed(ctx, grant.User.Subject, presented.grant)
	return s.refreshed(ctx, r, grant, next)
}

var errReused = errors.New("the refresh token was used before")

// unrefreshable says why a grant gives no more tokens to a client, if it does
// not.
func (s *Server) unrefreshable(grant *offlineGrant, r RefreshRequest) string {
	switch {
	case !same(grant.Client, r.Client.ID):
		return "issued to another client"
	case len(r.Client.grantable(withoutOpenID(grant.Scopes))) < len(withoutOpenID(grant.Scopes)):
		return "its client has lost a scope"
	case slices.ContainsFunc(grant.Audience, func(a string) bool { return !slices.Contains(r.Client.Audiences, a) }):
		return "its client has lost an audience"
	}
	user, ok := s.Users.Current(grant.User)
	if !ok {
		return "its user is disabled or gone"
	}
	if !r.Client.Accepts(user) {
		return "its user signed in by a way that does not count for the client any more"
	}
	grant.User = user
	return ""
}

// withoutOpenID are the scopes that a client has to be registered for.
func withoutOpenID(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == "openid" })
}

// rotate makes next the token that counts, where presented was; where it was
// used within the grace, next becomes the one that counts by now: its successor,
// or what became of that.
func (s *Server) rotate(grant *offlineGrant, presented refreshToken, next *refreshToken) (changed []byte, swap bool, err error) {
	hash, now := presented.hash(), s.Now().UnixMilli()
	if subtle.ConstantTimeCompare(grant.Current[:], hash[:]) == 1 {
		sealed, err := keys.SealUnder(presented.secret[:], successorPurpose, next.secret[:])
		if err != nil {
			return nil, false, err
		}
		grant.spend(spentRefresh{Hash: hash, At: now, Successor: sealed}, next.hash())
		changed, err = grant.encode()
		return changed, true, err
	}
	if *next, err = grant.succeed(presented, now); err != nil {
		return nil, false, err
	}
	return nil, false, nil
}

// refreshed makes the tokens.
func (s *Server) refreshed(ctx context.Context, r RefreshRequest, grant *offlineGrant, next refreshToken) (*Tokens, *Error) {
	key, _ := parseSessionID(grant.Session)
	g := given{
		client: r.Client, user: grant.User, session: key, grant: next.grant,
		scopes: grant.Scopes, audience: grant.Audience, authTime: time.Unix(grant.AuthTime, 0),
	}
	if r.Scope != nil {
		// offline stays: it says what the token's grant is, not what it may do.
		g.scopes = slices.DeleteFunc(slices.Clone(g.scopes), func(have string) bool {
			return have != "offline" && !slices.Contains(r.Scope, have)
		})
	}
	tokens, refusal := s.sign(ctx, g, r.IDToken)
	if refusal != nil {
		return nil, refusal
	}
	tokens.Scopes = grant.refreshedScopes(r.Scope)
	var err error
	if tokens.Refresh, err = s.sealRefresh(ctx, next); err != nil {
		return nil, Unavailable(err)
	}
	s.Audit.Record(Event{What: TokensRefreshed, User: grant.User, Client: r.Client, Grant: next.grant, From: r.From})
	return tokens, nil
}

// refreshReused ends the grant of a refresh token that was used twice. Only the
// client that it is for can.
func (s *Server) refreshReused(ctx context.Context, r RefreshRequest, grant string) *Error {
	s.Audit.Record(Event{What: RefreshReused, Client: r.Client, Grant: grant, From: r.From})
	if err := s.Grants.End(ctx, grant); err != nil {
		return Unavailable(err)
	}
	s.Audit.Record(Event{What: GrantEnded, Client: r.Client, Grant: grant, From: r.From, Why: "a refresh token was used twice"})
	return invalidRefresh(errReused)
}

func (s *Server) refuseRefresh(r RefreshRequest, grant, why string) *Error {
	s.Audit.Record(Event{What: TokenRefused, Client: r.Client, Grant: grant, From: r.From, Why: why})
	return invalidRefresh(&unboundError{why})
}

func invalidRefresh(cause error) *Error {
	return &Error{Kind: InvalidGrant, Description: "The refresh token is invalid, expired, revoked, used already, or was issued to another client.", Cause: cause}
}
