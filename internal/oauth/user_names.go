package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-sso/caddy-sso/session"
)

// Who is called by a name: an operator ends what a user has by it, and lists are by
// subject. Users of `signin local` are found in the configuration. Of all others the
// store notes which subjects a name has had, in one record a name.

const (
	namePrefix = "name:"

	// maxNamesakes bounds how many subjects one name has: whoever can choose names at
	// a provider could fill the store with them. The one that was noted for the
	// shortest time makes room.
	maxNamesakes = 64

	noteTries = 100
)

// namesakes are the subjects of a name, each with when it is forgotten, in Unix
// seconds.
type namesakes map[string]int64

// nameKey is the store's key of a name. Some bytes of the hash do: whoever reads a
// record looks at the names of what it finds.
func nameKey(name string) string {
	sum := sha256.Sum256([]byte(folded(name)))
	return namePrefix + base64.RawURLEncoding.EncodeToString(sum[:12])
}

// folded is the same for names that differ in case alone, as [strings.EqualFold]
// has it.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}

// Called says whether users have a name, or have it for their subject.
func Called(name string) func(session.User) bool {
	return func(u session.User) bool { return strings.EqualFold(u.Name, name) || u.Subject == name }
}

// noteName notes a user under the name, for as long as what begins now may live. It
// comes before that, so that nothing is ever left out.
func (s *Server) noteName(ctx context.Context, u session.User, lifetime time.Duration) error {
	configured := func(known session.User) bool { return known.Subject == u.Subject }
	if u.Name == "" || u.Name == u.Subject || s.Named != nil && slices.ContainsFunc(s.Named(u.Name), configured) {
		return nil
	}
	key := nameKey(u.Name)
	for range noteTries {
		stored, ok, err := s.Store.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("noting the name of a user: %w", err)
		}
		if !ok {
			stored = nil
		}
		next, keep := noted(stored, u.Subject, s.Now(), lifetime)
		if next == nil {
			return nil
		}
		swapped, err := s.Store.CompareAndSwap(ctx, key, stored, next, keep)
		if err != nil {
			return fmt.Errorf("noting the name of a user: %w", err)
		}
		if swapped {
			return nil
		}
	}
	return errors.New("noting the name of a user: it changes all the time")
}

// noted adds a subject to a record, and returns how long to keep that. It returns
// nil where the subject is noted for long enough: an eighth more than is needed, so
// that a sign-in seldom writes.
func noted(stored []byte, subject string, now time.Time, lifetime time.Duration) (next []byte, keep time.Duration) {
	all := parseNamesakes(stored)
	if all[subject] >= now.Add(lifetime).Unix() {
		return nil, 0
	}
	maps.DeleteFunc(all, func(_ string, until int64) bool { return until <= now.Unix() })
	all[subject] = now.Add(lifetime + lifetime/8).Unix()
	for len(all) > maxNamesakes {
		first := subject
		for other, until := range all {
			if other != subject && (first == subject || until < all[first]) {
				first = other
			}
		}
		delete(all, first)
	}
	next, err := json.Marshal(all)
	if err != nil {
		panic(err) // a map of strings and numbers
	}
	latest := slices.Max(slices.Collect(maps.Values(all)))
	return next, time.Unix(latest, 0).Sub(now) + time.Second
}

// parseNamesakes reads a record. One that does not decode has nobody.
func parseNamesakes(stored []byte) namesakes {
	all := namesakes{}
	if json.Unmarshal(stored, &all) != nil || all == nil {
		return namesakes{}
	}
	return all
}

// subjectsOf are the subjects of those who are called by a name, as far as
// configuration and notes say.
func (s *Server) subjectsOf(ctx context.Context, name string) ([]string, error) {
	called := Called(name)
	subjects, maybe := map[string]bool{name: true}, map[string]bool{}
	if s.Named != nil {
		for _, u := range s.Named(name) {
			if called(u) {
				subjects[u.Subject] = true
			} else {
				maybe[u.Subject] = true
			}
		}
	}
	stored, _, err := s.Store.Get(ctx, nameKey(name))
	if err != nil {
		err = fmt.Errorf("looking up the name of a user: %w", err)
	}
	for subject := range parseNamesakes(stored) {
		maybe[subject] = true
	}
	for subject := range maybe { // whoever had the name may have another one by now
		is, isErr := s.isCalled(ctx, subject, called)
		if is {
			subjects[subject] = true
		}
		err = errors.Join(err, isErr)
	}
	return slices.Sorted(maps.Keys(subjects)), err
}

// isCalled says whether a session or lasting grant of a subject is of somebody whom
// called means.
func (s *Server) isCalled(ctx context.Context, subject string, called func(session.User) bool) (bool, error) {
	sessions, err := s.Sessions.OfUser(ctx, subject)
	if slices.ContainsFunc(sessions, func(one *session.Session) bool { return called(one.User()) }) {
		return true, nil
	}
	grants, grantsErr := s.Grants.OfUser(ctx, subject)
	return slices.ContainsFunc(grants, func(one PersistentGrant) bool { return called(one.user) }), errors.Join(err, grantsErr)
}
