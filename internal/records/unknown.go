package records

import (
	"encoding/json"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// A fields is a record with values that are not decoded. Names are strings in JSON, and
// in CBOR an int64, a uint64 or a string.
type fields map[any]any

// unknown returns the fields of a stored record that the type of v does not know, or
// nil if there are none. For a struct with such fields the result has a fields value
// with only those.
func unknown(f Format, stored []byte, v any) (fields, error) {
	if f == 0 {
		return nil, nil
	}
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return unknownTo(t, f, stored)
}

func unknownTo(t reflect.Type, f Format, stored []byte) (fields, error) {
	all, err := split(f, stored)
	if err != nil {
		return nil, err
	}
	var kept fields
	known := knownTo(t, f)
	for name, raw := range all {
		inner, isKnown := known[name]
		switch {
		case !isKnown:
		case inner == nil:
			continue
		default:
			deeper, err := unknownTo(inner, f, rawBytes(raw))
			if err != nil || deeper == nil { // an error: it is no struct, and v replaces it
				continue
			}
			raw = deeper
		}
		if kept == nil {
			kept = make(fields)
		}
		kept[name] = raw
	}
	return kept, nil
}

// merge adds the unknown fields to an encoded record. Unknown fields of a struct that
// is no longer written are dropped.
func merge(f Format, written []byte, kept fields) ([]byte, error) {
	all, err := split(f, written)
	if err != nil {
		return nil, err
	}
	for name, value := range kept {
		deeper, nested := value.(fields)
		if !nested {
			all[name] = value
			continue
		}
		inner, there := all[name]
		if !there {
			continue
		}
		if value, err = merge(f, rawBytes(inner), deeper); err != nil {
			return nil, err
		}
		all[name] = raw(f, value.([]byte))
	}
	if f == CBOR {
		return encoding.Marshal(map[any]any(all))
	}
	named := make(map[string]any, len(all))
	for name, value := range all {
		named[name.(string)] = value
	}
	return json.Marshal(named)
}

// split decodes the field names of a record, but not the values.
func split(f Format, stored []byte) (fields, error) {
	all := make(fields)
	if f == CBOR {
		var values map[any]cbor.RawMessage
		if err := unmarshal(f, stored, &values); err != nil {
			return nil, ErrMalformed
		}
		for name, value := range values {
			all[name] = value
		}
		return all, nil
	}
	var values map[string]json.RawMessage
	if err := unmarshal(f, stored, &values); err != nil {
		return nil, ErrMalformed
	}
	for name, value := range values {
		all[name] = value
	}
	return all, nil
}

func raw(f Format, value []byte) any {
	if f == CBOR {
		return cbor.RawMessage(value)
	}
	return json.RawMessage(value)
}

func rawBytes(raw any) []byte {
	if value, ok := raw.(cbor.RawMessage); ok {
		return value
	}
	return raw.(json.RawMessage)
}

// known has the names of a struct's fields. If a field is a struct, the value is its
// type.
type known map[any]reflect.Type

var knownTypes sync.Map // of knownType: known

type knownType struct {
	t reflect.Type
	f Format
}

func knownTo(t reflect.Type, f Format) known {
	if k, ok := knownTypes.Load(knownType{t, f}); ok {
		return k.(known)
	}
	k := make(known)
	for field := range t.Fields() {
		name := nameOf(field, f)
		switch {
		case field.Anonymous && name == field.Name: // an embedded struct: its fields belong to the outer struct
			maps.Copy(k, knownTo(field.Type, f))
		case !field.IsExported() || name == "-":
		case field.Type.Kind() == reflect.Struct && !selfEncoding(field.Type):
			k[name] = field.Type
		default:
			k[name] = nil
		}
	}
	knownTypes.Store(knownType{t, f}, k)
	return k
}

// nameOf is the name of a field in the encoding, by the rules of encoding/json and
// cbor.
func nameOf(field reflect.StructField, f Format) any {
	tag := field.Tag.Get("json")
	if of, ok := field.Tag.Lookup("cbor"); ok && f == CBOR {
		tag = of
	}
	name, options, _ := strings.Cut(tag, ",")
	if name == "" {
		name = field.Name
	}
	if n, err := strconv.ParseUint(name, 10, 64); err == nil && f == CBOR && strings.Contains(options, "keyasint") {
		return n
	}
	return name
}

// selfEncoding reports whether a struct, such as a time, is not encoded as a map.
func selfEncoding(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}
