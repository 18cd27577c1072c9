// Package records is how records are stored: sessions, site sessions, grants,
// authorization codes.
//
// # Formats
//
// A record is written in format 1, which is JSON, or in format 2, which is CBOR
// (RFC 8949) with numbers for the names of fields. Its first byte tells which, so
// both are read whatever is written.
//
// # Versions
//
// A record has a version. A release begins records of [Version], and reads those
// of the next one, too: a newer release may add fields that this one does not
// know. They stay when this release changes the record, and so does the version:
// see [Encode]. Fields are added to the record itself or to a struct in it, not to
// the elements of a list, whose order and number may change.
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

// Version is that of records which begin now.
const Version = 1

// newest is the version of the newest records that are read.
const newest = Version + 1

// A Format is how records are written.
type Format int

// The formats.
const (
	JSON Format = 1
	CBOR Format = 2
)

var (
	// ErrVersion is returned, wrapped, for a record of a version that is not read.
	// It is a [storage.ErrUnavailable], though the store has answered.
	ErrVersion error = versionError{}

	// ErrMalformed is returned, wrapped, for a record that cannot be read at all.
	ErrMalformed = errors.New("not JSON, and not CBOR, of the fields that it has to have")
)

type versionError struct{}

func (versionError) Error() string { return "a newer release wrote it" }

func (versionError) Is(target error) bool { return target == storage.ErrUnavailable }

// CheckVersion returns an [ErrVersion] for a version that is not read.
func CheckVersion(version int) error {
	if version > newest {
		return fmt.Errorf("version %d, of which the newest that this release reads is %d: %w", version, newest, ErrVersion)
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

// FormatOf tells the format of what is stored; 0 is none.
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

// versioned is what every record has.
type versioned struct {
	Version int `json:"v" cbor:"0,keyasint"`
}

// Decode reads what is stored into the struct that v points to, whose field for
// the version is at version. What is there before counts for a record that has
// none. In format 1 fields are named by their json tags, and the version is "v"; in
// format 2 by their cbor tags, and the version is 0. An error is an [ErrVersion] or an [ErrMalformed]. It quotes nothing of the record.
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
		// What a newer release wrote may have other types under the same names.
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

// Encode writes v, a struct or a pointer to one, in a format. Stored is what v was
// read from, nil for a record that begins: what it has and the type of v does not
// know is written again. For that, and for a record of format 2, its format stays.
func Encode(f Format, v any, stored []byte) ([]byte, error) {
	before := FormatOf(stored)
	kept, err := unknown(before, stored, v)
	if err != nil {
		return nil, fmt.Errorf("what is not known of a record: %w", err)
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
