// Package records encodes and decodes stored records: sessions, site sessions, grants,
// authorization codes.
//
// # Formats
//
// Format 1 is JSON. Format 2 is CBOR (RFC 8949) with numbers as field names. The first
// byte of a record shows its format. So both formats can be read, no matter which one
// is written.
//
// # Versions
//
// Every record has a version. This release writes new records with [Version]. It also
// reads the next version, since a newer release may add fields that this one does not
// know. If this release changes such a record, it keeps the unknown fields and the
// version: see [Encode]. New fields may be added to a record or to a struct in it, but
// not to elements of a list, since their order and number may change.
//
// Still newer records are not read. They stay as they are, and the caller gets an
// [ErrVersion], as if the store had not answered: this signs no user out, and removes
// no cookie.
package records

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Version is the version of new records.
const Version = 1

// newest is the newest version that can be read.
const newest = Version + 1

// A Format is an encoding of records.
type Format int

// The formats.
const (
	JSON Format = 1
	CBOR Format = 2
)

var (
	// ErrVersion is returned, wrapped, for a record whose version is too new. It is a
	// [storage.ErrUnavailable], though the store has answered.
	ErrVersion error = versionError{}

	// ErrMalformed is returned, wrapped, for a record that cannot be decoded.
	ErrMalformed = errors.New("not JSON or CBOR with the required fields")
)

type versionError struct{}

func (versionError) Error() string { return "a newer release wrote it" }

func (versionError) Is(target error) bool { return target == storage.ErrUnavailable }

// CheckVersion returns an [ErrVersion] if the version is too new.
func CheckVersion(version int) error {
	if version > newest {
		return fmt.Errorf("version %d, but this release reads versions up to %d: %w", version, newest, ErrVersion)
	}
	return nil
}

// Not all content is ours: the ID of a user at a provider may be no UTF-8.
var (
	decoding = must(cbor.DecOptions{
		IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 8, UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode())
	encoding = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic, Time: cbor.TimeRFC3339NanoUTC}.EncMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}

// FormatOf returns the format of a stored record, or 0 if it has none.
func FormatOf(stored []byte) Format {
	switch {
	case len(stored) == 0:
		return 0
	case stored[0] == '{':
		return JSON
	case stored[0]&0xe0 == 0xa0: // a map
		return CBOR
	}
	return 0
}

// versioned is the part that all records have.
type versioned struct {
	Version int `json:"v" cbor:"0,keyasint"`
}

// Decode decodes a stored record into the struct that v points to. version points to
// the version field of that struct. Its value before the call is the version of a
// record that has none. In format 1 field names are the json tags, and the version is
// "v". In format 2 they are the cbor tags, and the version is 0. An error is an
// [ErrVersion] or an [ErrMalformed], and quotes nothing of the record.
func Decode(stored []byte, v any, version *int) error {
	unmarshal := json.Unmarshal
	switch FormatOf(stored) {
	case JSON:
	case CBOR:
		unmarshal = decoding.Unmarshal
	default:
		return ErrMalformed
	}
	if err := unmarshal(stored, v); err != nil {
		// A record of a newer release may have other types for the same names.
		var newer versioned
		if unmarshal(stored, &newer) == nil && CheckVersion(newer.Version) != nil {
			return CheckVersion(newer.Version)
		}
		return ErrMalformed
	}
	if *version <= 0 {
		return ErrMalformed
	}
	return CheckVersion(*version)
}

// Encode encodes v, a struct or a pointer to one. stored is the record that v was
// decoded from, or nil for a new record. Encode keeps the fields of stored that the
// type of v does not know. If there are such fields, or if stored is in format 2, the
// result has the format of stored, else f.
func Encode(f Format, v any, stored []byte) ([]byte, error) {
	before := FormatOf(stored)
	kept, err := unknown(before, stored, v)
	if err != nil {
		return nil, fmt.Errorf("unknown fields of a record: %w", err)
	}
	if kept != nil || before == CBOR {
		f = before
	}
	written, err := marshal(f, v)
	if err != nil || kept == nil {
		return written, err
	}
	return merge(f, written, kept)
}

func marshal(f Format, v any) ([]byte, error) {
	if f == CBOR {
		return encoding.Marshal(v)
	}
	return json.Marshal(v)
}

func unmarshal(f Format, stored []byte, v any) error {
	if f == CBOR {
		return decoding.Unmarshal(stored, v)
	}
	return json.Unmarshal(stored, v)
}
