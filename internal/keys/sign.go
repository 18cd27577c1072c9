package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxToken bounds the length of tokens that Verify reads.
const maxToken = 16 << 10

// Sign encodes claims as JSON and returns them as a compact JWS, signed with the active
// key of alg. The header has alg, kid, and typ "JWT".
func (r *Ring) Sign(ctx context.Context, alg Algorithm, claims any) (string, error) {
	s, err := r.schedule(ctx, alg)
	if err != nil {
		return "", fmt.Errorf("signing token with %q: %w", alg, err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	jws, err := s[s.active(r.options.Now())].signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	return token, nil
}

// Verify returns the payload of a compact JWS that a key of this ring signed with one
// of algs. At least one algorithm is required. The caller must check the claims, above
// all the expiry.
//
// After an error that does not wrap [ErrToken] the token may still be valid.
func (r *Ring) Verify(ctx context.Context, token string, algs ...Algorithm) (payload []byte, err error) {
	if len(algs) == 0 {
		return nil, errors.New("verifying token: no algorithm is accepted")
	}
	accepted := make([]jose.SignatureAlgorithm, len(algs))
	for i, alg := range algs {
		accepted[i] = jose.SignatureAlgorithm(alg)
	}
	jws, err := parse(token, accepted)
	if err != nil {
		return nil, err
	}
	header := jws.Signatures[0].Protected
	key, err := r.verificationKey(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	if key == nil || !key.verifiesAt(r.options.Now()) {
		return nil, fmt.Errorf("%w: unknown key", ErrToken)
	}
	if header.Algorithm != string(key.algorithm) {
		return nil, fmt.Errorf("%w: the key is for another algorithm", ErrToken)
	}
	payload, err = jws.Verify(key.public.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: wrong signature", ErrToken)
	}
	return payload, nil
}

// parse reads a compact JWS whose header names one of algs.
func parse(token string, algs []jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: over %d bytes", ErrToken, maxToken)
	}
	if !canonical(token) {
		return nil, fmt.Errorf("%w: not in canonical base64url", ErrToken)
	}
	// The errors of jose can quote the token, so they are not passed on.
	jws, err := jose.ParseSignedCompact(token, algs)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, fmt.Errorf("%w: malformed, or signed with another algorithm", ErrToken)
	}
	return jws, nil
}

// canonical reports whether the parts of a token have their only correct base64url
// spelling (RFC 7515 section 2). The decoder ignores line breaks and the unused bits
// of the last character, so otherwise one signature would have many spellings, and
// each would be cached by itself.
func canonical(token string) bool {
	if strings.ContainsAny(token, "\r\n") {
		return false
	}
	for part := range strings.SplitSeq(token, ".") {
		if _, err := strictBase64.DecodeString(part[len(part)&^3:]); err != nil {
			return false
		}
	}
	return true
}

// verificationKey returns the key with an ID, or nil if there is none. It reads the
// vault for an unknown ID, since another node may have created the key just now.
func (r *Ring) verificationKey(ctx context.Context, id string) (*signingKey, error) {
	k, err := r.keyring(ctx)
	if err != nil {
		return nil, err
	}
	if key, ok := k.byID[id]; ok || id == "" {
		return key, nil
	}
	if k, err = r.complete(ctx); err != nil {
		return nil, err
	}
	if key, ok := k.byID[id]; ok {
		return key, nil
	}
	if k, err = r.reloadFor(ctx, id); err != nil {
		return nil, err
	}
	return k.byID[id], nil
}

// schedule returns the keys of alg.
func (r *Ring) schedule(ctx context.Context, alg Algorithm) (schedule, error) {
	k, err := r.keyring(ctx)
	if err == nil && k.schedules[alg] == nil {
		k, err = r.complete(ctx)
	}
	if err != nil {
		return nil, err
	}
	if s, ok := k.schedules[alg]; ok {
		return s, nil
	}
	return nil, ErrAlgorithm
}

// Public returns the published keys of alg: the active one first, then the
// next one, then retired ones that still verify.
func (r *Ring) Public(ctx context.Context, alg Algorithm) ([]jose.JSONWebKey, error) {
	s, err := r.schedule(ctx, alg)
	if err != nil {
		return nil, fmt.Errorf("public keys for %q: %w", alg, err)
	}
	return s.public(r.options.Now()), nil
}
