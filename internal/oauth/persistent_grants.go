package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A PersistentGrant is a grant with the scope offline, which outlives its session, as
// its user sees it.
type PersistentGrant struct {
	ID      string
	Client  string      // the ID of the client, which may not be registered any more
	Session session.Key // the session in which it was given
	Begun   time.Time
	Used    time.Time // the last refresh; zero: never, or unknown

	user session.User
}

// OfUser returns the persistent grants of a user, the newest first. With an error it
// returns those that could be read.
func (g *Grants) OfUser(ctx context.Context, subject string) ([]PersistentGrant, error) {
	ids, err := g.listed(ctx, subject)
	if err != nil {
		return nil, err
	}
	slices.Reverse(ids)
	found, failures := make([]*offlineGrant, len(ids)), make([]error, len(ids))
	storage.Each(len(ids), func(i int) { found[i], failures[i] = g.offline(ctx, ids[i]) })
	list := make([]PersistentGrant, 0, len(ids))
	for i, grant := range found {
		if grant != nil {
			list = append(list, grant.persistent(ids[i]))
		}
	}
	return list, errors.Join(failures...)
}

// persistent returns the grant as its user sees it.
func (g *offlineGrant) persistent(id string) PersistentGrant {
	key, _ := parseSessionID(g.Session)
	l := PersistentGrant{ID: id, Client: g.Client, Session: key, Begun: time.Unix(g.AuthTime, 0), user: g.User}
	if g.Begun != 0 {
		l.Begun = time.Unix(g.Begun, 0)
	}
	if g.Used != 0 {
		l.Used = time.Unix(g.Used, 0)
	}
	return l
}

// PersistentGrants returns the persistent grants of the signed-in user. It leaves out
// grants that are not valid, such as those of another password, since they may belong
// to another person who had the name before.
func (s *Server) PersistentGrants(ctx context.Context, in SignedIn) ([]PersistentGrant, error) {
	all, err := s.grantsOf(ctx, in.User)
	if err != nil {
		return nil, err
	}
	var list []PersistentGrant
	for _, grant := range all {
		if _, current := s.Users.Current(grant.user); current {
			list = append(list, grant)
		}
	}
	return list, nil
}

// grantsOf is [Grants.OfUser] for all subjects of a user.
func (s *Server) grantsOf(ctx context.Context, u session.User) ([]PersistentGrant, error) {
	var all []PersistentGrant
	var err error
	for _, subject := range s.subjects(u) {
		some, oneErr := s.Grants.OfUser(ctx, subject)
		all, err = append(all, some...), errors.Join(err, oneErr)
	}
	return all, err
}

// endOthers ends all sessions of a user except one, and returns those that it ended.
func (s *Server) endOthers(ctx context.Context, u session.User, but session.Key) ([]*session.Session, error) {
	var all []*session.Session
	var err error
	for _, subject := range s.subjects(u) {
		some, oneErr := s.Sessions.EndOthers(ctx, subject, but)
		all, err = append(all, some...), errors.Join(err, oneErr)
	}
	return all, err
}

// endOtherGrants ends all persistent grants of a user except one, and returns their
// number. An empty but excepts none.
func (s *Server) endOtherGrants(ctx context.Context, u session.User, but string) (int, error) {
	ended := 0
	var err error
	for _, subject := range s.subjects(u) {
		n, oneErr := s.Grants.endOthers(ctx, subject, but)
		ended, err = ended+n, errors.Join(err, oneErr)
	}
	return ended, err
}

// EndPersistentGrants ends the persistent grants of a user that which selects, and
// returns their number. If one cannot be read or ended, it still ends the others.
func (s *Server) EndPersistentGrants(ctx context.Context, user session.User, which func(PersistentGrant) bool, from Origin, why string) (int, error) {
	all, listErr := s.grantsOf(ctx, user)
	var err error
	ended, left := 0, 0
	for _, grant := range all {
		if !which(grant) {
			continue
		}
		client, _ := s.Clients.Get(grant.Client)
		if refusal := s.endGrant(ctx, grant.ID, Event{User: user, Client: client, From: from, Why: why}); refusal != nil {
			left, err = left+1, refusal
			continue
		}
		ended++
	}
	if err != nil {
		err = fmt.Errorf("%d persistent grants are left: %w", left, err)
	}
	return ended, errors.Join(listErr, err)
}

// SignOutElsewhere ends all other sessions of the signed-in user, and all persistent
// grants: an intruder in one of those sessions, or at this browser, may have obtained
// them. An application that is open here gets a new grant with this session. Consents
// are withdrawn for the same reason.
func (s *Server) SignOutElsewhere(ctx context.Context, in SignedIn, from Origin) error {
	// Before the grants, so that no code of this session becomes a grant without consent.
	allowedErr := s.forgetAll(ctx, s.subjects(in.User)...)
	others, sessionsErr := s.endOthers(ctx, in.User, in.Session.Key())
	for _, other := range others {
		s.Audit.Record(Event{What: SessionEnded, User: in.User, Session: other, From: from})
	}
	// After the sessions, so that none of their codes becomes a grant meanwhile.
	ended, err := s.endOtherGrants(ctx, in.User, "")
	if ended > 0 {
		s.Audit.Record(Event{What: GrantEnded, User: in.User, Session: in.Session, From: from, Why: fmt.Sprintf("signed out everywhere else: %d persistent grants", ended)})
	}
	return errors.Join(allowedErr, sessionsErr, err)
}

// EndSessionAndGrants ends an SSO session with all grants and consents that were
// given in it, even persistent ones, since the session may have been an intruder's.
// It returns the number of persistent grants. It ends grants before the session, so
// that the call can be repeated if the store does not answer, and after it, for
// grants that began meanwhile or could not be ended. A grant that cannot be ended
// does not prevent the end of the session.
func (s *Server) EndSessionAndGrants(ctx context.Context, in SignedIn, from Origin, why string) (int, error) {
	given := func(grant PersistentGrant) bool { return grant.Session == in.Session.Key() }
	before, grantsErr := s.EndPersistentGrants(ctx, in.User, given, from, why)
	allowedErr := s.forgetGivenIn(ctx, in.User, in.Session.Key())
	if err := s.Sessions.End(ctx, in.Session.Key()); err != nil {
		return before, errors.Join(fmt.Errorf("ending session: %w", err), grantsErr, allowedErr)
	}
	s.Audit.Record(Event{What: SessionEnded, User: in.User, Session: in.Session, From: from, Why: why})
	since, err := s.EndPersistentGrants(ctx, in.User, given, from, why)
	if err = errors.Join(err, allowedErr); err != nil {
		return before + since, fmt.Errorf("the session has ended, but not all of its grants and consents: %w", err)
	}
	return before + since, nil
}
