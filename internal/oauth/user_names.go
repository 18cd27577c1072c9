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

// Names of users: an operator ends a user's sessions by the name, but lists are by
// subject. Users of `signin local` are found in the configuration. For other users
// the store has the subjects of each name, in one record for each name.

const (
	namePrefix = "name:"

	// maxNamesakes bounds the number of subjects of one name, since users who choose
	// their name at a provider could fill the store. The entry that expires first is
	// removed.
	maxNamesakes = 64

	storeNameTries = 100
)

// namesakes are the subjects of a name, each with its expiry in Unix seconds.
type namesakes map[string]int64

// nameKey is the storage key of a name. A part of the hash suffices, since the names
// of the sessions found are compared afterwards.
func nameKey(name string) string {
	sum := sha256.Sum256([]byte(foldCase(name)))
	return namePrefix + base64.RawURLEncoding.EncodeToString(sum[:12])
}

// foldCase returns the same text for names that differ only in case, as for [strings.EqualFold].
func foldCase(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}

// HasName returns a function that reports whether a user has a name, or has it as the subject.
func HasName(name string) func(session.User) bool {
	return func(u session.User) bool { return strings.EqualFold(u.Name, name) || u.Subject == name }
}

// storeName stores the subject of a user under the name, as long as a new session or
// grant may live. It is called before that begins, so that the record is always
// complete.
func (s *Server) storeName(ctx context.Context, u session.User, lifetime time.Duration) error {
	configured := func(known session.User) bool { return known.Subject == u.Subject }
	if u.Name == "" || u.Name == u.Subject || s.Named != nil && slices.ContainsFunc(s.Named(u.Name), configured) {
		return nil
	}
	key := nameKey(u.Name)
	for range storeNameTries {
		stored, ok, err := s.Store.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("storing the name of a user: %w", err)
		}
		if !ok {
			stored = nil
		}
		next, keep := addSubject(stored, u.Subject, s.Now(), lifetime)
		if next == nil {
			return nil
		}
		swapped, err := s.Store.CompareAndSwap(ctx, key, stored, next, keep)
		if err != nil {
			return fmt.Errorf("storing the name of a user: %w", err)
		}
		if swapped {
			return nil
		}
	}
	return errors.New("storing the name of a user: other requests changed the record at each attempt")
}

// addSubject adds a subject to a record, and returns how long to keep the record. It
// returns nil if the subject is stored long enough already. It stores it for an
// eighth longer than needed, so that a sign-in rarely writes.
func addSubject(stored []byte, subject string, now time.Time, lifetime time.Duration) (next []byte, keep time.Duration) {
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

// parseNamesakes decodes a record. A malformed record is empty.
func parseNamesakes(stored []byte) namesakes {
	all := namesakes{}
	if json.Unmarshal(stored, &all) != nil || all == nil {
		return namesakes{}
	}
	return all
}

// subjectsOf returns the subjects of a name, from the configuration and the store.
func (s *Server) subjectsOf(ctx context.Context, name string) ([]string, error) {
	called := HasName(name)
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
	for subject := range maybe { // the user may have another name now
		is, isErr := s.subjectHasName(ctx, subject, called)
		if is {
			subjects[subject] = true
		}
		err = errors.Join(err, isErr)
	}
	return slices.Sorted(maps.Keys(subjects)), err
}

// subjectHasName reports whether a session or persistent grant of a subject belongs to a
// user that called matches.
func (s *Server) subjectHasName(ctx context.Context, subject string, called func(session.User) bool) (bool, error) {
	sessions, err := s.Sessions.OfUser(ctx, subject)
	if slices.ContainsFunc(sessions, func(one *session.Session) bool { return called(one.User()) }) {
		return true, nil
	}
	grants, grantsErr := s.Grants.OfUser(ctx, subject)
	return slices.ContainsFunc(grants, func(one PersistentGrant) bool { return called(one.user) }), errors.Join(err, grantsErr)
}
