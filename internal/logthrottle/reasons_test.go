package logthrottle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
)

func TestEachReasonHasLinesOfItsOwn(t *testing.T) {
	var kinds logthrottle.ByKind
	now := time.Unix(1_700_000_000, 0)
	for i, want := range []int{1, 0} {
		for _, kind := range []string{"a", "b"} {
			for _, reason := range []error{errors.New("status 500"), errors.New("status 502"), nil} {
				if n := kinds.Due(kind, reason, now); n != want {
					t.Errorf("occasion %d of %s, %v: %d, expected %d", i+1, kind, reason, n, want)
				}
			}
		}
	}
	if n := kinds.Due("a", errors.New("status 500"), now.Add(time.Minute)); n != 2 {
		t.Errorf("after a minute: %d", n)
	}
}

func TestWhatDiffersEachTimeIsOneReason(t *testing.T) {
	for _, texts := range [][2]string{
		{"read tcp 127.0.0.1:54321->127.0.0.1:443: connection reset", "read tcp 127.0.0.1:54322->127.0.0.1:443: connection reset"},
		{`it comes from issuer "a"`, `it comes from issuer "b c"`},
		{"session 9b2c41d07f is gone", "session 0a1b2c3d4e is gone"},
	} {
		if a, b := logthrottle.Reason(errors.New(texts[0])), logthrottle.Reason(errors.New(texts[1])); a != b {
			t.Errorf("%q and %q are two reasons", a, b)
		}
	}
	if n := len(logthrottle.Reason(errors.New(strings.Repeat("x ", 1<<20)))); n > 200 {
		t.Errorf("a reason of %d bytes", n)
	}
}

func TestReasonsThatOthersMakeUpAreBounded(t *testing.T) {
	var kinds logthrottle.ByKind
	now := time.Unix(1_700_000_000, 0)
	for minute := range 3 {
		lines, counted := 0, 0
		for i := range 1000 {
			word := strings.Repeat("x", i%150+1) + strings.Repeat("y", i/150)
			if n := kinds.Due("a", fmt.Errorf("refused: %s", word), now); n > 0 {
				lines++
				counted += n
			}
		}
		if lines > 17 || lines < 16 {
			t.Errorf("minute %d: %d lines, which count %d", minute, lines, counted)
		}
		now = now.Add(time.Minute)
	}
	if n := kinds.Due("b", errors.New("a fault"), now); n != 1 {
		t.Errorf("another kind: %d", n)
	}
}
