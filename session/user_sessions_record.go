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

// listRecord is the stored list of a user's sessions in format 2. Each entry has the
// key, and the begin time in six bytes.
type listRecord struct {
	Version  int    `cbor:"0,keyasint,omitempty"` // 0: the first
	Sessions []byte `cbor:"1,keyasint"`
}

const (
	longListed  = len(Key{}) + 8
	shortListed = shortKey + 6
)

// parseListing parses the list of one format. A list of format 1 consists of entries
// only, each with the begin time in eight bytes. A damaged list is read as empty: a
// session that is used is added again. The only error is a [records.ErrVersion].
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

// encode encodes the list of one format, which replaces stored. An empty list is nil.
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

// merged returns the entries of both lists, ordered by begin time.
func merged(a, b listing) listing {
	all := slices.Concat(a, b)
	if len(b) > 0 {
		slices.SortStableFunc(all, func(x, y listed) int { return int(x.begun - y.begun) })
	}
	return all
}

// listOf is the storage key of a user's list of one format. A subject may have any
// length.
func listOf(subject string, short bool) string {
	k := Key(sha256.Sum256([]byte(subject)))
	if short {
		clear(k[shortKey:])
	}
	return k.in(userPrefix)
}

// listing reads the lists of a user. With an error it returns the entries that could
// be read.
func (s *Sessions) listing(ctx context.Context, subject string) (listing, error) {
	long, longErr := s.listed(ctx, subject, false)
	short, shortErr := s.listed(ctx, subject, true)
	return merged(long, short), errors.Join(longErr, shortErr)
}

// listed reads the list of one format.
func (s *Sessions) listed(ctx context.Context, subject string, short bool) (listing, error) {
	stored, _, err := s.cache.store.Get(ctx, listOf(subject, short))
	if err != nil {
		return nil, unavailable("reading the sessions of a user", err)
	}
	return parseListing(short, stored)
}

// changeListing changes a user's list of one format.
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

// entries splits a stored list into entries of one size. It ignores an incomplete
// last entry.
func entries(stored []byte, size int) [][]byte {
	return slices.Collect(slices.Chunk(stored[:len(stored)-len(stored)%size], size))
}
