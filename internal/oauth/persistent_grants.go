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

// A PersistentGrant is a grant with scope offline, which outlives its session, as its
// user gets to see it.
type PersistentGrant struct {
	ID      string
	Client  string      // by its ID; it may be registered no more
	Session session.Key // in which it was given
	Begun   time.Time
	Used    time.Time // when its refresh token was last traded; zero: never, or it was not written down

	user session.User
}

// OfUser returns the grants of a user that outlive a session, the newest first.
// With an error it returns those that could be read.
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

// persistent is the grant as its user gets to see it.
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

// PersistentGrants returns what [Grants.OfUser] knows of who is signed in. It leaves
// out those that count for nobody, such as of another password: they may be of
// somebody who had the name before.
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

// endOthers ends all sessions of a user but one, and returns those that it ended.
func (s *Server) endOthers(ctx context.Context, u session.User, but session.Key) ([]*session.Session, error) {
	var all []*session.Session
	var err error
	for _, subject := range s.subjects(u) {
		some, oneErr := s.Sessions.EndOthers(ctx, subject, but)
		all, err = append(all, some...), errors.Join(err, oneErr)
	}
	return all, err
}

// endOtherGrants ends all lasting grants of a user but one, and returns how many
// there were. An empty but is none.
func (s *Server) endOtherGrants(ctx context.Context, u session.User, but string) (int, error) {
	ended := 0
	var err error
	for _, subject := range s.subjects(u) {
		n, oneErr := s.Grants.endOthers(ctx, subject, but)
		ended, err = ended+n, errors.Join(err, oneErr)
	}
	return ended, err
}

// EndPersistentGrants ends those grants of a user that outlive a session and that
// which picks, and returns how many there were. One that cannot be read, or ended,
// does not keep it from the others.
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
		err = fmt.Errorf("%d lasting grants are left: %w", left, err)
	}
	return ended, errors.Join(listErr, err)
}

// SignOutElsewhere ends all sessions of who is signed in but this one, and all
// grants that outlive a session: whoever was in one of those sessions may have had
// them given, and whoever sat at this browser, too. An application that its user
// has open here gets another by this session. What the user has allowed is withdrawn
// for the same reason.
func (s *Server) SignOutElsewhere(ctx context.Context, in SignedIn, from Origin) error {
	// Before the grants, so that no code of this session becomes one without a question.
	allowedErr := s.forgetAll(ctx, s.subjects(in.User)...)
	others, sessionsErr := s.endOthers(ctx, in.User, in.Session.Key())
	for _, other := range others {
		s.Audit.Record(Event{What: SessionEnded, User: in.User, Session: other, From: from})
	}
	// After the sessions, so that no code of theirs becomes a grant meanwhile.
	ended, err := s.endOtherGrants(ctx, in.User, "")
	if ended > 0 {
		s.Audit.Record(Event{What: GrantEnded, User: in.User, Session: in.Session, From: from, Why: fmt.Sprintf("signed out everywhere else: %d lasting grants", ended)})
	}
	return errors.Join(allowedErr, sessionsErr, err)
}

// EndSessionAndGrants ends an SSO session and all that was given and allowed in it,
// also what would outlive it, for somebody who wants no more of it: the session may have
// been a thief's. It returns how many grants outlived the session. The grants come
// before the session, so that it can be done again where the store does not answer;
// and after it, for what has begun meanwhile, or could not be ended the first time.
// A grant that cannot be ended does not keep the session from ending.
func (s *Server) EndSessionAndGrants(ctx context.Context, in SignedIn, from Origin, why string) (int, error) {
	given := func(grant PersistentGrant) bool { return grant.Session == in.Session.Key() }
	before, grantsErr := s.EndPersistentGrants(ctx, in.User, given, from, why)
	allowedErr := s.forgetGiven(ctx, in.User, in.Session.Key())
	if err := s.Sessions.End(ctx, in.Session.Key()); err != nil {
		return before, errors.Join(fmt.Errorf("ending session: %w", err), grantsErr, allowedErr)
	}
	s.Audit.Record(Event{What: SessionEnded, User: in.User, Session: in.Session, From: from, Why: why})
	since, err := s.EndPersistentGrants(ctx, in.User, given, from, why)
	if err = errors.Join(err, allowedErr); err != nil {
		return before + since, fmt.Errorf("the session has ended, but not all that was given in it: %w", err)
	}
	return before + since, nil
}
