package oauth

import (
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
)

// The limit of wrong secrets for one client from one address (RFC 6749 section
// 2.3.1). One more is allowed every half minute.
const (
	wrongSecrets      = 30
	wrongSecretsEvery = 15 * time.Minute
)

// Authenticate authenticates a client by its secret (RFC 6749 section 2.3.1), of
// which the request may have several spellings. An unknown client and a wrong secret
// give the same error after the same work.
//
// Beyond the limit wrong secrets get the error of the limit. The right one is still
// accepted: it is too long to be guessed, and other clients behind the same address
// must not be able to lock a client out.
func (s *Server) Authenticate(from Origin, id string, spellings ...string) (*Client, *Error) {
	client, refusal := s.Clients.authenticate(id, spellings)
	if refusal != nil && client != nil && !client.Public {
		limit := attemptlimit.Limit{Key: client.ID + " " + attemptlimit.Network(string(from)), N: wrongSecrets, Every: wrongSecretsEvery}
		if wait := s.Secrets.Made(s.Now(), limit, true); wait > 0 {
			s.Audit.Record(Event{What: ClientLimited, Client: client, From: from, Why: "too many wrong secrets from this address"})
			return nil, &Error{Kind: TooManyAttempts, Description: "Too many attempts.", RetryAfter: wait}
		}
	}
	switch {
	case refusal != nil:
		s.Audit.Record(Event{What: ClientRefused, Client: client, From: from, Why: refusal.Description})
		return nil, refusal
	case client.Disabled:
		return nil, &Error{Kind: ClientDisabled, Description: "This client is disabled."}
	}
	return client, nil
}

// authenticate returns the client even if it refuses it; nil if there is no such
// client.
func (cs *Clients) authenticate(id string, spellings []string) (*Client, *Error) {
	failed := &Error{Kind: ClientAuth, Description: "Client authentication failed."}
	c, known := cs.byID[id]
	if !known {
		Secret{}.Equal(spellings...)
		return nil, failed
	}
	if c.Public {
		if slices.ContainsFunc(spellings, func(secret string) bool { return secret != "" }) {
			return c, &Error{Kind: ClientAuth, Description: "This client is public and has no secret; leave client_secret out."}
		}
		return c, nil
	}
	if !c.Secret.Equal(spellings...) {
		return c, failed
	}
	return c, nil
}
