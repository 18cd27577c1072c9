package loginapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A model is what a published SDK reads of an answer: the kind of each member. What
// is not here it ignores.
type model map[string]kind

// A kind reads a member, nil where it is not there.
type kind func(value json.RawMessage) error

var null = []byte("null")

// decode reads an answer as the SDK does, and fails where that would.
func (m model) decode(raw []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if err := m[name](object[name]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// optional is a member that may be left out, or be null.
func optional(k kind) kind {
	return func(value json.RawMessage) error {
		if value == nil || bytes.Equal(value, null) {
			return nil
		}
		return k(value)
	}
}

// defaulted is a member that may be left out, and cannot be null: a value of C#, or a
// struct of Unreal.
func defaulted(k kind) kind {
	return func(value json.RawMessage) error {
		if value == nil {
			return nil
		}
		return k(value)
	}
}

// read is a value of a type; there is no null of it.
func read[T any](value json.RawMessage, to *T) error {
	if value == nil || bytes.Equal(value, null) {
		return errors.New("is required")
	}
	return json.Unmarshal(value, to)
}

func text(value json.RawMessage) error    { return read(value, new(string)) }
func boolean(value json.RawMessage) error { return read(value, new(bool)) }
func int32s(value json.RawMessage) error  { return read(value, new(int32)) } // Int of Kotlin, int of C#, int32 of Unreal
func int64s(value json.RawMessage) error  { return read(value, new(int64)) } // Int of Swift

// list is an array of objects.
func list(of model) kind {
	return func(value json.RawMessage) error {
		var entries []json.RawMessage
		if err := read(value, &entries); err != nil {
			return err
		}
		for _, entry := range entries {
			if err := of.decode(entry); err != nil {
				return err
			}
		}
		return nil
	}
}

// object is a member that is an object.
func object(of model) kind {
	return func(value json.RawMessage) error {
		if value == nil {
			return errors.New("is required")
		}
		return of.decode(value)
	}
}

// iosDate is what Foundation's DateFormatter reads by the pattern
// yyyy-MM-dd'T'hh:mm:ssZ, as it is by default: not lenient.
func iosDate(value json.RawMessage) error {
	var s string
	if err := read(value, &s); err != nil {
		return err
	}
	_, err := parseIOSDate(s)
	return err
}

var iosPattern = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT)(\d\d)(:\d\d:\d\d)([+-]\d\d):?(\d\d)$`)

// parseIOSDate returns the moment that a date is taken for. hh is the hour of a clock
// with twelve, which begins with 12; there is no 0, and no 13.
func parseIOSDate(s string) (time.Time, error) {
	m := iosPattern.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, fmt.Errorf("%q has not the form of the pattern", s)
	}
	hour, _ := strconv.Atoi(m[2])
	if hour < 1 || hour > 12 {
		return time.Time{}, fmt.Errorf("%q has an hour that a clock with twelve has not", s)
	}
	return time.Parse("2006-01-02T15:04:05-07:00", fmt.Sprintf("%s%02d%s%s:%s", m[1], hour%12, m[3], m[4], m[5]))
}

// iosCode is an error's code, whose digits the iOS SDK reads as one number.
func iosCode(value json.RawMessage) error {
	var s string
	if err := read(value, &s); err != nil {
		return err
	}
	_, err := strconv.ParseInt(strings.ReplaceAll(s, "-", ""), 10, 64)
	return err
}

// numbers are all numbers in an answer.
func numbers(v any) (all []json.Number) {
	switch v := v.(type) {
	case json.Number:
		return []json.Number{v}
	case []any:
		for _, e := range v {
			all = append(all, numbers(e)...)
		}
	case map[string]any:
		for _, e := range v {
			all = append(all, numbers(e)...)
		}
	}
	return all
}

// tooBig are the numbers that are no signed integers of 32 bits.
func tooBig(raw []byte) ([]json.Number, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(numbers(v), func(n json.Number) bool {
		i, err := n.Int64()
		return err == nil && i >= math.MinInt32 && i <= math.MaxInt32
	}), nil
}
