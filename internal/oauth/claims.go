package oauth

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// Claims are the claims of access tokens in the form of the Login API. Client, grant
// and session are our own: with them an ended grant is refused before its tokens
// expire. A client's own token has no user, grant and session.
type Claims struct {
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Audience  []string     `json:"aud"`
	Expires   int64        `json:"exp"`
	IssuedAt  int64        `json:"iat"`
	ID        string       `json:"jti"`
	Scopes    []string     `json:"scp"`
	Groups    []GroupClaim `json:"groups"`
	Project   string       `json:"xsolla_login_project_id"`
	Username  string       `json:"username,omitempty"`
	Email     string       `json:"email,omitempty"`
	Avatar    string       `json:"avatar,omitempty"`
	Provider  string       `json:"provider,omitempty"` // the sign-in method, if it is a provider
	UserID    string       `json:"id,omitempty"`       // the ID of the user at the provider
	ClientID  string       `json:"client_id"`
	Grant     string       `json:"gid,omitempty"`
	SessionID string       `json:"sid,omitempty"`
	Actor     Actor        `json:"act,omitzero"`
	License
}

// An Actor is the client that exchanged a token of another client (RFC 8693 section
// 4.1). The zero value: the user signed in to the token's client itself.
type Actor struct {
	ClientID string `json:"sub"`
}

// License binds a token to licensed software.
type License struct {
	Product string `json:"license_product,omitempty"`
	Account string `json:"license_customer_account,omitempty"`
}

// reservedClaims are the claims with a meaning here, or for verifiers of tokens.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scp", "scope", "groups", "xsolla_login_project_id", "username", "email",
	"avatar", "provider", "id", "client_id", "gid", "sid", "license_product", "license_customer_account",
	"act", "may_act", "acr", "amr", "azp", "auth_time", "nonce", "at_hash", "c_hash", "s_hash", "cnf", "crit", "events",
}

func (s *Server) accessClaims(g tokenParams) extendedClaims {
	now := s.Now()
	provider := s.provider(g.user)
	claims := Claims{
		Issuer:   s.Issuer,
		Subject:  g.user.Subject,
		Audience: g.audience,
		Expires:  now.Add(g.lifetime(now)).Unix(),
		IssuedAt: s.stamp().Unix(),
		ID:       newID(),
		Scopes:   append([]string{}, g.scopes...),
		Groups:   GroupClaims(g.user.Groups),
		Project:  g.client.ProjectID(),
		Username: g.user.Name,
		Avatar:   g.user.Avatar,
		Provider: provider,
		ClientID: g.client.ID,
		Grant:    g.grant,
		Actor:    g.actor,
		License:  License{Product: g.product, Account: g.account},
	}
	if provider != "" {
		claims.UserID = g.user.ProviderID
	}
	if g.grant == "" {
		claims.Subject = g.client.ID
	} else {
		claims.SessionID = sessionID(g.session)
		if slices.Contains(g.scopes, "email") {
			claims.Email = g.user.Email
		}
	}
	return extendedClaims{claims, g.client.customClaims(g.user, s.methodUserID(g.user), provider)}
}

// methodUserID is the ID of a user at its sign-in method.
func (s *Server) methodUserID(u session.User) string {
	if s.MethodUserID == nil {
		return u.ProviderID
	}
	return s.MethodUserID(u)
}

// stamp is the issue time in a token.
func (s *Server) stamp() time.Time {
	if s.Stamp == nil {
		return s.Now()
	}
	return s.Stamp()
}

// provider is the provider that a user signed in with; "" for none.
func (s *Server) provider(u session.User) string {
	if s.IsProvider == nil || !s.IsProvider(u.Signin) {
		return ""
	}
	return u.Signin
}

// IDClaims are the claims of ID tokens (OpenID Connect Core section 2). They have no
// scp, which distinguishes them from access tokens.
type IDClaims struct {
	Issuer          string `json:"iss"`
	Subject         string `json:"sub"`
	Audience        string `json:"aud"`
	Expires         int64  `json:"exp"`
	IssuedAt        int64  `json:"iat"`
	AuthTime        int64  `json:"auth_time"`
	Nonce           string `json:"nonce,omitempty"`
	AccessTokenHash string `json:"at_hash,omitempty"`
	Grant           string `json:"gid"`
	SessionID       string `json:"sid"`
	License
	UserClaims
}

// UserClaims are the claims about a user in an ID token or at the userinfo endpoint,
// as far as the scopes allow (OpenID Connect Core section 5.4).
type UserClaims struct {
	Name          string   `json:"name,omitempty"`               // scope profile
	Username      string   `json:"preferred_username,omitempty"` // scope profile
	Picture       string   `json:"picture,omitempty"`            // scope profile
	Email         string   `json:"email,omitempty"`              // scope email
	EmailVerified bool     `json:"email_verified,omitempty"`     // unverified addresses are not stored
	Groups        []string `json:"groups,omitempty"`             // scope groups
}

// NewUserClaims returns the claims about a user that the scopes allow.
func NewUserClaims(u session.User, scopes []string) UserClaims {
	var c UserClaims
	if slices.Contains(scopes, "profile") {
		c.Name, c.Username, c.Picture = u.Name, u.Name, u.Avatar
	}
	if slices.Contains(scopes, "email") {
		c.Email, c.EmailVerified = u.Email, u.Email != ""
	}
	if slices.Contains(scopes, "groups") {
		c.Groups = u.Groups
	}
	return c
}

func (s *Server) idClaims(g tokenParams, access string) IDClaims {
	now, issued := s.Now(), s.stamp().Unix()
	return IDClaims{
		Issuer: s.Issuer, Subject: g.user.Subject, Audience: g.client.ID,
		Expires: now.Add(g.client.tokenLifetime()).Unix(), IssuedAt: issued, AuthTime: min(g.authTime.Unix(), issued),
		Nonce: g.nonce, AccessTokenHash: halfHash(g.client.idTokenAlg(), access),
		Grant: g.grant, SessionID: sessionID(g.session),
		License:    License{Product: g.product, Account: g.account},
		UserClaims: NewUserClaims(g.user, g.scopes),
	}
}

// halfHash is the at_hash of an access token (OpenID Connect Core section 3.1.3.6):
// the left half of its hash with the hash function of the signature algorithm.
func halfHash(alg keys.Algorithm, token string) string {
	if alg == keys.EdDSA {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

// sessionID is the ID of a session in tokens: its key, which is no credential.
func sessionID(k session.Key) string { return base64.RawURLEncoding.EncodeToString(k[:]) }

func parseSessionID(s string) (session.Key, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(session.Key{}) {
		return session.Key{}, false
	}
	return session.Key(raw), true
}
