package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A Consent is a remembered consent, as the user sees it.
type Consent struct {
	Client *Client
	Scopes []string
	Given  time.Time // the last time

	sessions []string // the IDs of the sessions in which it was given
}

// Consents returns the remembered consents of the signed-in user. With an error it
// returns those that could be read.
func (s *Server) Consents(ctx context.Context, user session.User) ([]Consent, error) {
	clients := s.Clients.needConsent
	found, failures := make([]*consent, len(clients)), make([]error, len(clients))
	storage.Each(len(clients), func(i int) {
		stored, _, err := s.Store.Get(ctx, consentKey(user.Subject, clients[i]))
		if err == nil {
			found[i], err = readConsent(stored, user.Mark)
		}
		failures[i] = err
	})
	var list []Consent
	for i, given := range found {
		if given != nil {
			list = append(list, Consent{clients[i], given.Scopes, time.Unix(given.Given, 0), strings.Fields(given.Session)})
		}
	}
	if err := errors.Join(failures...); err != nil {
		return list, fmt.Errorf("looking up consents: %w", err)
	}
	return list, nil
}

// Withdraw removes the signed-in user's consent to a client, and ends the client's
// persistent grants. The consent is removed first, so that the client gets no other
// grant meanwhile.
func (s *Server) Withdraw(ctx context.Context, in SignedIn, client string, from Origin, why string) error {
	err := s.forget(ctx, s.subjects(in.User), func(c *Client) bool { return c.ID == client })
	_, grantsErr := s.EndPersistentGrants(ctx, in.User, func(g PersistentGrant) bool { return g.Client == client }, from, why)
	c, _ := s.Clients.Get(client)
	s.Audit.Record(Event{What: ConsentWithdrawn, User: in.User, Client: c, Session: in.Session, From: from, Why: why})
	return errors.Join(err, grantsErr)
}

// EndAccess ends one persistent grant of the signed-in user. Its client must ask
// again before it gets another.
func (s *Server) EndAccess(ctx context.Context, in SignedIn, grant string, from Origin, why string) error {
	all, err := s.grantsOf(ctx, in.User)
	for _, g := range all {
		if g.ID == grant {
			err = errors.Join(err, s.forget(ctx, s.subjects(in.User), func(c *Client) bool { return c.ID == g.Client }))
		}
	}
	_, grantsErr := s.EndPersistentGrants(ctx, in.User, func(g PersistentGrant) bool { return g.ID == grant }, from, why)
	return errors.Join(err, grantsErr)
}

// forget removes the consents of a user that which selects, under all subjects of the
// user. This works even if the store is full.
func (s *Server) forget(ctx context.Context, subjects []string, which func(*Client) bool) error {
	var keys []string
	for _, c := range s.Clients.needConsent {
		for _, subject := range subjects {
			if which(c) {
				keys = append(keys, consentKey(subject, c))
			}
		}
	}
	failures := make([]error, len(keys))
	storage.Each(len(keys), func(i int) { _, _, failures[i] = s.Store.Take(ctx, keys[i]) })
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("withdrawing consents: %w", err)
	}
	return nil
}

// forgetAll removes all consents of a user.
func (s *Server) forgetAll(ctx context.Context, subjects ...string) error {
	return s.forget(ctx, subjects, func(*Client) bool { return true })
}

// forgetGivenIn removes the consents that were given, even partly, in a session that
// the user ends.
func (s *Server) forgetGivenIn(ctx context.Context, user session.User, in session.Key) error {
	var failures error
	for _, subject := range s.subjects(user) {
		user.Subject = subject
		given, err := s.Consents(ctx, user)
		failures = errors.Join(failures, err, s.forget(ctx, []string{subject}, func(c *Client) bool {
			return slices.ContainsFunc(given, func(g Consent) bool { return g.Client == c && slices.Contains(g.sessions, sessionID(in)) })
		}))
	}
	return failures
}
