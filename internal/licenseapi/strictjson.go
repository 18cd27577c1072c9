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
	maxValues = 10_000 // how many it may have: strangers send them, too, and each costs far more than its bytes
)

var errNotStrict = errors.New("not one JSON object in UTF-8 without duplicate keys")

// parseObject reads the members of one JSON object that any two parsers read
// alike: UTF-8 without a byte order mark, nothing after it, no key twice at any
// level (RFC 8259 section 4), not nested too deep, and not too many. Values are strings, nil for
// null, and true for anything else.
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

// A valueReader counts what it reads.
type valueReader struct {
	*json.Decoder
	values int
}

// readObject reads to the end of an object that has begun.
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

// nearly says whether another parser could take a key for one of the names: it
// differs by case alone, or by what stands behind a NUL.
func nearly(key string, names []string) bool {
	if i := strings.IndexByte(key, 0); i >= 0 {
		key = key[:i]
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(key, name) })
	}
	return slices.ContainsFunc(names, func(name string) bool { return key != name && strings.EqualFold(key, name) })
}
