package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/session"
)

// An ActivationRequest is the credential of a license activation: a code, or a token.
type ActivationRequest struct {
	Product string
	Account string

	Code        string
	RedirectURI string // may be empty
	Token       string // an access token or an ID token, if Code is empty

	// Body is the SHA-256 of the request's body. It identifies a retry.
	Body [sha256.Size]byte
	From Origin
}

// An Activation is an activated license and its user.
type Activation struct {
	SignedIn
	Product string
	Account string
}

// retryFor is how long an activation may be sent again if its answer was lost.
const retryFor = time.Minute

// Activate redeems the code of an activation, or verifies its token. If the answer
// was lost, the code is accepted once more for the very same request.
func (s *Server) Activate(ctx context.Context, r ActivationRequest) (*Activation, *Error) {
	p, a, refusal := s.Licenses.find(r.Product, r.Account)
	if refusal != nil {
		return nil, refusal
	}
	if p.Client.Disabled {
		return nil, clientDisabled()
	}
	var in SignedIn
	if r.Code != "" {
		in, refusal = s.activateByCode(ctx, p, r)
	} else {
		in, refusal = s.activateByToken(ctx, p, r)
	}
	// The account may accept other users now.
	if refusal == nil && !a.accepts(in.User) {
		refusal = invalidToken(errors.New("of a user whom the customer account does not accept"))
		if r.Code != "" {
			refusal = invalidGrant(errors.New("of a user whom the customer account does not accept"))
		}
	}
	if refusal != nil {
		if refusal.Kind != Internal {
			s.Audit.Record(Event{What: LicenseRefused, Client: p.Client, From: r.From, Why: "product " + p.Code + ", customer account " + a.Code})
		}
		return nil, refusal
	}
	s.Audit.Record(Event{What: LicenseActivation, User: in.User, Client: p.Client, Session: in.Session, From: r.From, Why: "product " + p.Code + ", customer account " + a.Code})
	return &Activation{SignedIn: in, Product: p.Code, Account: a.Code}, nil
}

func (s *Server) activateByCode(ctx context.Context, p *Product, r ActivationRequest) (SignedIn, *Error) {
	redeemed, refusal := s.redeem(ctx, p.Client, r.Code, r.From, func(rec *codes.Record) string {
		client, product, account := constantTimeEqual(rec.Client, p.Client.ID), constantTimeEqual(rec.Product, r.Product), constantTimeEqual(rec.Account, r.Account)
		redirect := constantTimeEqual(rec.RedirectURI, r.RedirectURI)
		switch {
		case !client:
			return "issued to another client"
		case !product:
			return "issued for another product"
		case !account:
			return "issued for another customer account"
		case r.RedirectURI != "" && !redirect:
			return "issued for another redirect_uri"
		}
		rec.Redemption = redemption{Body: r.Body, Session: rec.Session, At: s.Now().Unix()}.encode()
		return ""
	})
	if refusal == nil {
		return redeemed.SignedIn, nil
	}
	spent := (*codes.SpentError)(nil)
	if !errors.As(refusal.Cause, &spent) {
		return SignedIn{}, refusal
	}
	in, again, refusal := s.retryActivation(ctx, spent, r)
	if again || refusal != nil {
		return in, refusal
	}
	return SignedIn{}, s.answerReplay(ctx, p.Client, spent, r.From)
}

// A redemption identifies the activation that spent a code, so that a retry can be
// told from a replay.
type redemption struct {
	Body    [sha256.Size]byte
	Session session.Key
	At      int64 // Unix seconds
}

func (d redemption) encode() string {
	raw := binary.BigEndian.AppendUint64(slices.Concat(d.Body[:], d.Session[:]), uint64(d.At))
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parseRedemption(s string) (redemption, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != 2*sha256.Size+8 {
		return redemption{}, false
	}
	return redemption{
		Body: [sha256.Size]byte(raw), Session: session.Key(raw[sha256.Size:]), At: int64(binary.BigEndian.Uint64(raw[2*sha256.Size:])),
	}, true
}

// retryActivation reports whether a request is a retry, in time, of the request that
// redeemed the code.
func (s *Server) retryActivation(ctx context.Context, spent *codes.SpentError, r ActivationRequest) (SignedIn, bool, *Error) {
	before, ok := parseRedemption(spent.Redemption)
	if !ok || subtle.ConstantTimeCompare(before.Body[:], r.Body[:]) != 1 || s.Now().After(time.Unix(before.At, 0).Add(retryFor)) {
		return SignedIn{}, false, nil
	}
	sess, err := s.Sessions.Lookup(ctx, before.Session)
	if errors.Is(err, session.ErrNone) {
		return SignedIn{}, false, invalidGrant(err)
	}
	if err != nil {
		return SignedIn{}, false, Unavailable(err)
	}
	in, err := s.current(sess)
	if err != nil {
		return SignedIn{}, false, invalidGrant(err)
	}
	// This is the last step, so that an internal error does not use up the retry.
	first, err := s.Store.CompareAndSwap(ctx, retryKey(r.Code), nil, []byte{1}, 2*retryFor)
	if err != nil {
		return SignedIn{}, false, Unavailable(fmt.Errorf("trying an activation again: %w", err))
	}
	return in, first, nil
}

// retryKey is the storage key of a retry. It has a hash, so that no code is stored.
func retryKey(code string) string {
	sum := sha256.Sum256([]byte("retried\x00" + code))
	return "retried:" + hex.EncodeToString(sum[:])
}

// activateByToken accepts an access token or an ID token, since clients send either.
func (s *Server) activateByToken(ctx context.Context, p *Product, r ActivationRequest) (SignedIn, *Error) {
	var claims struct {
		Claims
		Audience audience  `json:"aud"`
		Scopes   *[]string `json:"scp"`
		Groups   any       `json:"groups"`
	}
	if refusal := s.openToken(ctx, r.Token, &claims); refusal != nil {
		return SignedIn{}, refusal
	}
	c := claims.Claims
	if claims.Scopes == nil { // an ID token: its client is its audience
		c.ClientID = p.Client.ID
	}
	switch {
	case !constantTimeEqual(c.Product, r.Product) || !constantTimeEqual(c.Account, r.Account):
		return SignedIn{}, invalidToken(errors.New("for another product or customer account"))
	case !slices.Contains(claims.Audience, p.Client.ID) || c.ClientID != p.Client.ID:
		return SignedIn{}, invalidToken(errors.New("for another client"))
	case c.Grant == "":
		return SignedIn{}, invalidToken(errors.New("of no user"))
	}
	v, refusal := s.verify(ctx, c)
	if refusal != nil {
		return SignedIn{}, refusal
	}
	return v.SignedIn, nil
}

// audience is the `aud` of a token: one string, or several (RFC 7519 section
// 4.1.3).
type audience []string

// UnmarshalJSON implements [json.Unmarshaler].
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}
