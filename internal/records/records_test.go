package records

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/caddy-sso/caddy-sso/storage"
)

type inner struct {
	Name string `json:"name,omitempty" cbor:"1,keyasint,omitempty"`
}

type example struct {
	Version int       `json:"v" cbor:"0,keyasint"`
	Text    string    `json:"text,omitempty" cbor:"1,keyasint,omitempty"`
	Numbers []int     `json:"numbers,omitempty" cbor:"2,keyasint,omitempty"`
	Inner   inner     `json:"inner,omitzero" cbor:"3,keyasint,omitzero"`
	At      time.Time `json:"at,omitzero" cbor:"4,keyasint,omitzero"`
}

// later is a record of the next release.
type later struct {
	example
	Added string `json:"added" cbor:"5,keyasint"`
	Inner struct {
		Name  string `json:"name,omitempty" cbor:"1,keyasint,omitempty"`
		Added []int  `json:"added" cbor:"2,keyasint"`
	} `json:"inner" cbor:"3,keyasint"`
}

func full() example {
	return example{Version: Version, Text: "text \xff"[:5], Numbers: []int{1, -2}, Inner: inner{"x"}, At: time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)}
}

func TestARecordThatIsEncodedCanBeDecoded(t *testing.T) {
	for _, f := range []Format{JSON, CBOR} {
		want := full()
		stored, err := Encode(f, want, nil)
		if err != nil || FormatOf(stored) != f {
			t.Fatalf("%q, %v", stored, err)
		}
		var got example
		if err := Decode(stored, &got, &got.Version); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, %v; wrote %+v", got, err, want)
		}
	}
}

func TestFieldsOfTheNextReleaseAreKept(t *testing.T) {
	for _, f := range []Format{JSON, CBOR} {
		var l later
		l.example = full()
		l.Version, l.Added, l.Inner.Name, l.Inner.Added = newest, "more", "x", []int{7}
		stored, err := marshal(f, l)
		if err != nil {
			t.Fatal(err)
		}
		var got example
		if err := Decode(stored, &got, &got.Version); err != nil {
			t.Fatal(err)
		}
		got.Text, got.Numbers, got.Inner.Name = "", []int{5}, "y" // one field is removed, others change
		for _, to := range []Format{JSON, CBOR} {
			changed, err := Encode(to, &got, stored)
			if err != nil || FormatOf(changed) != f {
				t.Fatalf("%q, %v", changed, err)
			}
			var after later
			if err := Decode(changed, &after, &after.Version); err != nil {
				t.Fatal(err)
			}
			want := l
			want.Text, want.Numbers, want.Inner.Name, want.example.Inner = "", []int{5}, "y", inner{}
			if !reflect.DeepEqual(after, want) {
				t.Errorf("in format %d there is %+v, want %+v", f, after, want)
			}
		}
	}
}

func TestAFormatChangesIfNothingIsLost(t *testing.T) {
	for from, want := range map[Format]Format{JSON: CBOR, CBOR: CBOR} {
		stored, err := Encode(from, full(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []Format{JSON, CBOR} {
			changed, err := Encode(to, full(), stored)
			if err != nil {
				t.Fatal(err)
			}
			if got := FormatOf(changed); got != max(from, to) {
				t.Errorf("of format %d and %d became %d, at most %d", from, to, got, want)
			}
		}
	}
}

func TestANewerVersionIsNeverRead(t *testing.T) {
	newer := map[any]any{0: newest + 1, 1: 7, 2: "text", 3: []int{1}}
	inCBOR, err := cbor.Marshal(newer)
	if err != nil {
		t.Fatal(err)
	}
	for _, stored := range []string{`{"v":3,"text":7,"numbers":"x","inner":[]}`, `{"v":300}`, string(inCBOR)} {
		var got example
		err := Decode([]byte(stored), &got, &got.Version)
		if !errors.Is(err, ErrVersion) || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%q: %v", stored, err)
		}
	}
}

func TestAnythingButARecordIsMalformed(t *testing.T) {
	for _, stored := range []string{
		"", "x", "[]", "null", "{", `{}`, `{"v":0}`, `{"v":-1}`, `{"v":"1"}`, `{"v":1,"text":7}`, `{"v":1}{}`,
		"\xa0", "\xa1", "\xa1\x00\x00", "\xa1\x00\x01\x00", "\xa1\x00\x61x", "\xbf\x00\x01\xff", "\x80", "\x01",
	} {
		var got example
		if err := Decode([]byte(stored), &got, &got.Version); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", stored, err)
		}
	}
}

// FuzzDecode decodes any input without a panic. A record that can be decoded is the
// same after encoding and decoding it again.
func FuzzDecode(f *testing.F) {
	for _, format := range []Format{JSON, CBOR} {
		stored, err := Encode(format, full(), nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stored)
	}
	f.Add([]byte(`{"v":2,"added":{"a":1},"inner":{"more":[1]}}`))
	f.Add([]byte("\xa3\x00\x02\x18\xc8\x43\x01\x02\x03\x03\xa1\x02\x07"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		var got example
		if Decode(stored, &got, &got.Version) != nil {
			return
		}
		again, err := Encode(FormatOf(stored), got, stored)
		if err != nil {
			return // it cannot be encoded
		}
		var same example
		if err := Decode(again, &same, &same.Version); err != nil {
			t.Fatalf("%q was written as %q, which is %v", stored, again, err)
		}
		before, _ := json.Marshal(got)
		after, _ := json.Marshal(same)
		if string(before) != string(after) {
			t.Fatalf("%s became %s", before, after)
		}
	})
}
