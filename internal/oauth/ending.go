package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// EndByName ends all sessions and persistent grants of the users with a name, or with
// that subject, withdraws their consents, and returns the numbers. It reads only the
// lists of these users. It tries every part; the error says what is left.
func (s *Server) EndByName(ctx context.Context, name string) (sessions, grants int, err error) {
	subjects, err := s.subjectsOf(ctx, name)
	for _, subject := range subjects {
		// Sessions first, so that none of their codes becomes a grant meanwhile.
		n, sessionsErr := s.Sessions.EndUser(ctx, subject)
		m, grantsErr := s.Grants.EndUser(ctx, subject)
		sessions, grants, err = sessions+n, grants+m, errors.Join(err, sessionsErr, grantsErr, s.forgetAll(ctx, subject))
	}
	return sessions, grants, err
}

// FindSession is [session.Sessions.Find], or FindOfUser if a user is named.
func (s *Server) FindSession(ctx context.Context, id, user string) (*session.Session, error) {
	if user == "" {
		return s.Sessions.Find(ctx, id)
	}
	subjects, err := s.subjectsOf(ctx, user)
	for _, subject := range subjects {
		found, findErr := s.Sessions.FindOfUser(ctx, subject, id)
		if found != nil {
			return found, nil
		}
		if !errors.Is(findErr, session.ErrNone) {
			err = errors.Join(err, findErr)
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, session.ErrNone
}

// EndUser ends all persistent grants of a user, and returns their number. If one
// cannot be ended, it still ends the others; the error says how many are left.
func (g *Grants) EndUser(ctx context.Context, subject string) (int, error) {
	return g.endOthers(ctx, subject, "")
}

// endOthers is EndUser for all grants but one. It needs no room in the store: it
// first removes the records, then the list entries. A grant that is not stored yet
// ends with its list entry: see [Grants.confirm].
func (g *Grants) endOthers(ctx context.Context, subject, but string) (int, error) {
	ids, err := g.listed(ctx, subject)
	if err != nil {
		return 0, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == but })
	ended, left, absent, err := g.takeAll(ctx, ids)
	if len(absent) > 0 || ended > 0 {
		over := slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(left, id) })
		var listErr error
		if g.unlist(ctx, subject, over) != nil && but == "" && len(left) == 0 {
			// The store is too full to write a shorter list, so the whole list is removed.
			var others []string
			others, listErr = g.takeList(ctx, subject)
			absent = append(absent, others...)
		}
		// A grant may have been stored before it was removed from the list.
		late, unended, _, lateErr := g.takeAll(ctx, absent)
		ended, left, err = ended+late, append(left, unended...), errors.Join(err, listErr, lateErr)
	}
	if err != nil {
		return ended, fmt.Errorf("%d persistent grants are left: %w", len(left), err)
	}
	return ended, nil
}

// takeAll removes the records of grants. It returns the number of removed records,
// the grants that could not be removed, with one of the errors, and the grants
// without a record.
func (g *Grants) takeAll(ctx context.Context, ids []string) (ended int, left, absent []string, err error) {
	found, failures := make([]bool, len(ids)), make([]error, len(ids))
	storage.Each(len(ids), func(i int) { _, found[i], failures[i] = g.take(ctx, ids[i]) })
	for i, id := range ids {
		switch {
		case failures[i] != nil:
			left, err = append(left, id), failures[i]
		case found[i]:
			ended++
		default:
			absent = append(absent, id)
		}
	}
	return ended, left, absent, err
}

// unlist removes ended grants from the list of their user.
func (g *Grants) unlist(ctx context.Context, subject string, over []string) error {
	return storage.Update(ctx, g.store, grantsOf(subject), listedFor, func(stored []byte) ([]byte, bool, error) {
		ids := strings.Fields(string(stored))
		left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(over, id) })
		return []byte(strings.Join(left, " ")), len(left) < len(ids), nil
	})
}

// takeList removes the list of a user, and returns its entries.
func (g *Grants) takeList(ctx context.Context, subject string) ([]string, error) {
	stored, _, err := g.store.Take(ctx, grantsOf(subject))
	if err != nil {
		return nil, fmt.Errorf("removing the list of a user's grants: %w", err)
	}
	return strings.Fields(string(stored)), nil
}

// EndMatching ends all persistent grants that match, by the user at the sign-in and,
// if known, the begin time. It returns the number of ended grants. It reads all
// grants; if the subject is known, use [Grants.EndUser], which does not. If one
// cannot be ended, it still ends the others.
func (g *Grants) EndMatching(ctx context.Context, match func(u session.User, begun time.Time) bool) (int, error) {
	var ids []string
	newer := 0
	err := g.store.Scan(ctx, grantPrefix, func(key string, value []byte) error {
		grant, err := g.decode(value)
		if errors.Is(err, records.ErrVersion) {
			newer++
		}
		if err == nil && match(grant.User, time.Unix(grant.Begun, 0)) {
			ids = append(ids, strings.TrimPrefix(key, grantPrefix))
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("looking for grants: %w", err)
	}
	if newer > 0 {
		err = errors.Join(err, fmt.Errorf("looking for grants: %d were left: %w", newer, records.ErrVersion))
	}
	removed, failures := make([]bool, len(ids)), make([]error, len(ids))
	storage.Each(len(ids), func(i int) { removed[i], failures[i] = g.remove(ctx, ids[i]) })
	ended := 0
	for _, one := range removed {
		if one {
			ended++
		}
	}
	return ended, errors.Join(err, errors.Join(failures...))
}
