package session_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

func TestATokenHasOneSpelling(t *testing.T) {
	var token session.Token
	for i := range token {
		token[i] = byte(i * 7)
	}
	good := token.Encode()
	if len(good) != 43 {
		t.Fatalf("a token has %d characters", len(good))
	}
	if got, ok := session.ParseToken(good); !ok || got != token {
		t.Fatal("a token does not survive its encoding")
	}
	for name, bad := range map[string]string{
		"empty":                       "",
		"too short":                   good[:42],
		"too long":                    good + "A",
		"padded":                      good + "=",
		"standard alphabet":           strings.Repeat("+", 43),
		"slash":                       strings.Repeat("/", 43),
		"unused bits set":             strings.Repeat("A", 42) + "B",
		"a line break inside":         good[:20] + "\n" + good[21:],
		"a line break at the end":     good[:42] + "\n",
		"a carriage return":           "\r" + good[1:],
		"a space":                     " " + good[1:],
		"not ASCII":                   good[:41] + "é",
		"very long":                   strings.Repeat("A", 1<<20),
		"zero bytes":                  strings.Repeat("\x00", 43),
		"line breaks instead of data": strings.Repeat("\n", 43),
	} {
		if _, ok := session.ParseToken(bad); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParsingATokenDoesNotAllocate(t *testing.T) {
	good := session.Token{1, 2, 3}.Encode()
	if n := testing.AllocsPerRun(100, func() { session.ParseToken(good) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestATokenPrintsRedacted(t *testing.T) {
	token := session.Token{0xab, 0xcd, 0xef}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		for _, v := range []any{token, &token, struct{ T session.Token }{token}, []session.Token{token}} {
			printed := fmt.Sprintf(verb, v)
			for _, secret := range []string{"abcdef", "ABCDEF", "171", "0xab", token.Encode()[:4]} {
				if strings.Contains(printed, secret) && verb != "%p" {
					t.Errorf("%s of %T prints the secret: %s", verb, v, printed)
				}
			}
		}
	}
	if s := token.String() + token.GoString(); s != "[redacted][redacted]" {
		t.Error(s)
	}
	out, err := json.Marshal(map[string]any{"token": token})
	if err != nil || string(out) != `{"token":"[redacted]"}` {
		t.Errorf("%s, %v", out, err)
	}
}

func TestAKeyShowsItsIDOnly(t *testing.T) {
	k := session.Token{1}.Key()
	if id := k.ID(); len(id) != 16 || fmt.Sprint(k) != id {
		t.Errorf("%s, %s", k.ID(), fmt.Sprint(k))
	}
}

func TestClass23WeakRandomness(t *testing.T) {
	store := memory.New(memory.Options{})
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	with := func(o session.CacheOptions) *session.Sessions {
		c := session.NewCache(store, o)
		t.Cleanup(c.Close)
		return session.New(c, session.Policy{})
	}

	t.Run("by default no two tokens are alike", func(t *testing.T) {
		s, seen := with(session.CacheOptions{}), map[session.Token]bool{}
		for range 200 {
			token, _, err := s.Begin(t.Context(), session.SignIn{User: ada})
			if err != nil || seen[token] || token == (session.Token{}) {
				t.Fatal("a token came twice, or not at all", err)
			}
			seen[token] = true
		}
	})
	t.Run("all 32 bytes come from the source", func(t *testing.T) {
		random := bytes.Repeat([]byte{0x5a}, 32)
		token, _, err := with(session.CacheOptions{Rand: bytes.NewReader(random)}).Begin(t.Context(), session.SignIn{User: ada})
		if err != nil || token.Encode() != base64.RawURLEncoding.EncodeToString(random) {
			t.Fatal("the token is not what was drawn", err)
		}
	})
	broken := errors.New("no entropy")
	s := with(session.CacheOptions{Rand: iotest.ErrReader(broken)})
	t.Run("a source that fails begins no session", func(t *testing.T) {
		token, sess, err := s.Begin(t.Context(), session.SignIn{User: ada})
		if !errors.Is(err, broken) || token != (session.Token{}) || sess != nil {
			t.Fatal("a session without randomness", err)
		}
	})
	t.Run("nor a site session", func(t *testing.T) {
		_, sso, err := with(session.CacheOptions{}).Begin(t.Context(), session.SignIn{User: ada})
		if err != nil {
			t.Fatal(err)
		}
		if token, err := s.BeginSite(t.Context(), sso, "wiki", ""); !errors.Is(err, broken) || token != (session.Token{}) {
			t.Fatal("a site session without randomness", err)
		}
	})
	t.Run("a source that runs dry begins no session", func(t *testing.T) {
		dry := with(session.CacheOptions{Rand: bytes.NewReader(make([]byte, 31))})
		if _, _, err := dry.Begin(t.Context(), session.SignIn{User: ada}); err == nil {
			t.Fatal("a token of 31 bytes")
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add("")
	f.Add(session.Token{}.Encode())
	f.Add(session.Token{255, 254, 253}.Encode())
	f.Add(strings.Repeat("A", 42) + "B")
	f.Add(strings.Repeat("A", 42) + "\n")
	f.Fuzz(func(t *testing.T, s string) {
		if token, ok := session.ParseToken(s); ok && token.Encode() != s {
			t.Fatalf("%q is a second spelling of %q", s, token.Encode())
		}
	})
}
