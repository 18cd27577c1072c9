package session

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/storage"
)

// listRecord is the stored list of a user's sessions of format 2: for each its key,
// and when it began in six bytes.
type listRecord struct {
	Version  int    `cbor:"0,keyasint,omitempty"` // 0: the first
	Sessions []byte `cbor:"1,keyasint"`
}

const (
	longListed  = len(Key{}) + 8
	shortListed = shortKey + 6
)

// parseListing reads the list of one format. The one of format 1 is bare entries,
// each with when the session began in eight bytes. Of a damaged one nothing is left:
// a session that is used comes on the list again. The only error is a
// [records.ErrVersion].
func parseListing(short bool, stored []byte) (listing, error) {
	size, keySize := longListed, len(Key{})
	if short && len(stored) > 0 {
		r := listRecord{Version: records.Version}
		if err := records.Decode(stored, &r, &r.Version); errors.Is(err, records.ErrVersion) {
			return nil, fmt.Errorf("decoding the sessions of a user: %w", err)
		}
		stored, size, keySize = r.Sessions, shortListed, shortKey
	}
	all := entries(stored, size)
	l := make(listing, 0, len(all))
	for _, entry := range all {
		k, _ := keyOf(entry[:keySize])
		var begun [8]byte
		copy(begun[len(begun)-(size-keySize):], entry[keySize:])
		l = append(l, listed{k, int64(binary.BigEndian.Uint64(begun[:]))})
	}
	return l, nil
}

// encode writes the list of one format in the place of what is stored. An empty one
// is nothing.
func (l listing) encode(short bool, stored []byte) ([]byte, error) {
	if len(l) == 0 {
		return []byte{}, nil
	}
	var all []byte
	for _, e := range l {
		begun := binary.BigEndian.AppendUint64(nil, uint64(e.begun))
		if short {
			begun = begun[2:]
		}
		all = append(append(all, e.key.bytes()...), begun...)
	}
	if !short {
		return all, nil
	}
	r := listRecord{Version: records.Version}
	if len(stored) > 0 {
		if err := records.Decode(stored, &r, &r.Version); err != nil {
			r, stored = listRecord{Version: records.Version}, nil // damaged
		}
	}
	r.Version, r.Sessions = packVersion(r.Version), all
	return records.Encode(records.CBOR, r, stored)
}

// merged are both lists in the order in which the sessions began.
func merged(a, b listing) listing {
	all := slices.Concat(a, b)
	if len(b) > 0 {
		slices.SortStableFunc(all, func(x, y listed) int { return int(x.begun - y.begun) })
	}
	return all
}

// listOf is the store's key of a user's list of one format. Subjects may be of any
// length.
func listOf(subject string, short bool) string {
	k := Key(sha256.Sum256([]byte(subject)))
	if short {
		clear(k[shortKey:])
	}
	return k.in(userPrefix)
}

// listing reads all sessions on the lists of a user. With an error it returns those
// of the list that could be read, if there is one.
func (s *Sessions) listing(ctx context.Context, subject string) (listing, error) {
	long, longErr := s.listed(ctx, subject, false)
	short, shortErr := s.listed(ctx, subject, true)
	return merged(long, short), errors.Join(longErr, shortErr)
}

// listed reads those of one format.
func (s *Sessions) listed(ctx context.Context, subject string, short bool) (listing, error) {
	stored, _, err := s.cache.store.Get(ctx, listOf(subject, short))
	if err != nil {
		return nil, unavailable("reading the sessions of a user", err)
	}
	return parseListing(short, stored)
}

// changeListing changes the list of one format of a user.
func (s *Sessions) changeListing(ctx context.Context, subject string, short bool, change func(listing) (next listing, changed bool, err error)) error {
	err := storage.Update(ctx, s.cache.store, listOf(subject, short), s.Lifetime(), func(stored []byte) ([]byte, bool, error) {
		l, err := parseListing(short, stored)
		if err != nil {
			return nil, false, err
		}
		next, changed, err := change(l)
		if err != nil || !changed {
			return nil, false, err
		}
		if len(next) > 2*MostPerUser {
			return nil, false, errors.New("the list is full")
		}
		value, err := next.encode(short, stored)
		return value, true, err
	})
	if err != nil {
		return fmt.Errorf("sessions of a user: %w", err)
	}
	return nil
}
