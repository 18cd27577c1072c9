package licenseapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth  = 16     // how deep an activation may be nested
	maxValues = 10_000 // unauthenticated clients send activations, too, and a value costs far more memory than its bytes
)

var errNotStrict = errors.New("not one JSON object in UTF-8 without duplicate keys")

// parseObject parses one JSON object. It refuses an object that two parsers could
// read differently: it must be UTF-8 without a byte order mark, with nothing after
// it, without duplicate keys at any level (RFC 8259 section 4), and within the bounds
// of depth and number of values. Values of the result are strings, nil for null, and
// true for anything else.
func parseObject(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errNotStrict
	}
	d := &valueReader{Decoder: json.NewDecoder(bytes.NewReader(body))}
	d.UseNumber()
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, errNotStrict
	}
	members, err := d.readObject(1)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotStrict
	}
	return members, nil
}

// A valueReader counts the values that it reads.
type valueReader struct {
	*json.Decoder
	values int
}

// readObject reads the rest of an object.
func (d *valueReader) readObject(depth int) (map[string]any, error) {
	members := map[string]any{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errNotStrict
		}
		if _, twice := members[name]; twice {
			return nil, errNotStrict
		}
		if members[name], err = d.readValue(depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return members, err
}

func (d *valueReader) readValue(depth int) (any, error) {
	token, err := d.Token()
	if d.values++; err != nil || d.values > maxValues {
		return nil, errNotStrict
	}
	switch v := token.(type) {
	case nil, string:
		return v, nil
	case json.Delim:
		if depth++; depth > maxDepth {
			return nil, errNotStrict
		}
		if v == '{' {
			_, err = d.readObject(depth)
			return true, err
		}
		for d.More() {
			if _, err := d.readValue(depth); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
	}
	return true, err
}

// nearly reports whether another parser could read a key as one of the names: it
// differs only by case, or by text after a NUL.
func nearly(key string, names []string) bool {
	if i := strings.IndexByte(key, 0); i >= 0 {
		key = key[:i]
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(key, name) })
	}
	return slices.ContainsFunc(names, func(name string) bool { return key != name && strings.EqualFold(key, name) })
}
