package codes_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
)

func TestARedeemedCodeGivesBackItsRecord(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, clk *clock) {
		want := record(1)
		code := mustIssue(t, c, want, codes.Limits{})
		if raw, err := base64.RawURLEncoding.DecodeString(code); err != nil || len(raw) != 32 {
			t.Errorf("code decodes to %d bytes (%v), want 32", len(raw), err)
		}
		want.Version = 1
		want.Issued = clk.Now()
		want.Expires = clk.Now().Add(time.Minute)
		if got := mustRedeem(t, c, code); !reflect.DeepEqual(*got, want) {
			t.Errorf("record is %+v, want %+v", *got, want)
		}
	})
}

func TestCodesAreUnique(t *testing.T) {
	c := codes.NewMemory(codes.Options{})
	seen := make(map[string]bool)
	for range 1000 {
		code := mustIssue(t, c, record(1), codes.Limits{PerSession: 1000})
		if seen[code] {
			t.Fatal("a code was issued twice")
		}
		seen[code] = true
	}
}

// RFC 9700 §4.5: the grant of a replayed code can be ended.
func TestTheErrorOfAReplayedCodeHasItsGrant(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, clk *clock) {
		code := mustIssue(t, c, record(1), codes.Limits{})
		mustRedeem(t, c, code)

		for _, wait := range []time.Duration{0, 2 * time.Minute, 57 * time.Minute} {
			clk.Advance(wait)
			_, err := c.Redeem(t.Context(), code, pass)
			wantSpent(t, err)
		}
		clk.Advance(2 * time.Minute)
		if _, err := c.Redeem(t.Context(), code, pass); !errors.Is(err, codes.ErrUnknown) {
			t.Errorf("after %v the error is %v, want ErrUnknown", codes.SpentRetention, err)
		}
	})
}

// Advisory class 12, codes that are not bound to their client: the caller's check gets
// the record, and after its error the right client can still redeem the code.
func TestACodeStaysValidAfterAFailedCheck(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, _ *clock) {
		code := mustIssue(t, c, record(1), codes.Limits{})
		refused := errors.New("another client")
		for range 3 {
			_, err := c.Redeem(t.Context(), code, func(rec *codes.Record) error {
				if rec.Client != "42" || rec.Challenge == "" {
					t.Errorf("check got %+v", *rec)
				}
				rec.Client, rec.Scopes[0] = "tampered", "tampered"
				return refused
			})
			if err != refused {
				t.Fatalf("error is %v, want the check's own", err)
			}
		}
		if rec := mustRedeem(t, c, code); rec.Client != "42" || rec.Scopes[0] != "email" {
			t.Errorf("a failed check changed the record: %+v", *rec)
		}
	})
}

func TestACodeExpires(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, clk *clock) {
		early := mustIssue(t, c, record(1), codes.Limits{Lifetime: 10 * time.Second})
		late := mustIssue(t, c, record(1), codes.Limits{Lifetime: 10 * time.Second})
		clk.Advance(10*time.Second - 1)
		mustRedeem(t, c, early)
		clk.Advance(1)
		if _, err := c.Redeem(t.Context(), late, pass); !errors.Is(err, codes.ErrUnknown) {
			t.Errorf("error is %v, want ErrUnknown", err)
		}
	})
}

func TestACodeThatExpiresDuringItsCheckIsUnknown(t *testing.T) {
	clk := newClock()
	c := codes.NewMemory(codes.Options{Now: clk.Now})
	code := mustIssue(t, c, record(1), codes.Limits{})
	_, err := c.Redeem(t.Context(), code, func(*codes.Record) error {
		clk.Advance(time.Minute)
		return nil
	})
	if !errors.Is(err, codes.ErrUnknown) {
		t.Errorf("error is %v, want ErrUnknown", err)
	}
}

func TestAMalformedCodeIsUnknown(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, _ *clock) {
		code := mustIssue(t, c, record(1), codes.Limits{})
		for name, bad := range map[string]string{
			"empty":                "",
			"never issued":         strings.Repeat("A", 43),
			"huge":                 strings.Repeat("A", 1<<20),
			"one short":            code[:42],
			"one long":             code + "A",
			"padded":               code + "=",
			"standard alphabet":    strings.Repeat("+/", 21) + "A",
			"line break inside":    code[:20] + "\n" + code[21:],
			"line break after":     code[:42] + "\n",
			"line break added":     code[:20] + "\n" + code[20:],
			"not canonical":        code[:42] + nonCanonical(code[42]),
			"a zero byte":          code[:42] + "\x00",
			"not UTF-8":            strings.Repeat("\xff", 43),
			"letters beyond ASCII": strings.Repeat("é", 21) + "A",
		} {
			_, err := c.Redeem(t.Context(), bad, func(*codes.Record) error {
				t.Errorf("%s: check was called", name)
				return nil
			})
			if !errors.Is(err, codes.ErrUnknown) {
				t.Errorf("%s: error is %v, want ErrUnknown", name, err)
			}
		}
		mustRedeem(t, c, code)
	})
}

// nonCanonical returns a last letter that a lenient decoder decodes like last: its two
// unused bits are not zero.
func nonCanonical(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, last)
	return alphabet[i|1 : i|1+1]
}

// Advisory class 23, weak randomness: without random bytes no code is issued.
func TestARandomSourceThatFailsIsAnError(t *testing.T) {
	broken := errors.New("no entropy")
	c := codes.NewMemory(codes.Options{Rand: iotest.ErrReader(broken)})
	if code, err := c.Issue(t.Context(), record(1), codes.Limits{}); !errors.Is(err, broken) || code != "" {
		t.Errorf("Issue: %q, %v; want the source's error", code, err)
	}
}

func TestARandomSourceThatRepeatsItselfIsAnError(t *testing.T) {
	c := codes.NewMemory(codes.Options{Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 64))})
	code := mustIssue(t, c, record(1), codes.Limits{})
	if _, err := c.Issue(t.Context(), record(2), codes.Limits{}); err == nil {
		t.Error("the same code was issued twice")
	}
	if rec := mustRedeem(t, c, code); rec.Session != record(1).Session {
		t.Error("the code belongs to another record")
	}
}

func TestOfManyConcurrentRedemptionsOneSucceeds(t *testing.T) {
	clk := newClock()
	store := newStore(clk)
	o := codes.Options{Now: clk.Now}
	memory := codes.NewMemory(o)
	for name, nodes := range map[string][]*codes.Codes{
		"in memory": {memory},
		"on nodes that share a store": {
			codes.NewStored(store, o), codes.NewStored(store, o), codes.NewStored(store, o),
		},
	} {
		t.Run(name, func(t *testing.T) {
			code := mustIssue(t, nodes[0], record(1), codes.Limits{})
			errs := redeemAtOnce(t.Context(), nodes, code, 3000)
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
					continue
				}
				wantSpent(t, err)
			}
			if won != 1 {
				t.Errorf("%d redemptions succeeded, want 1", won)
			}
		})
	}
}

// redeemAtOnce redeems one code n times concurrently, on all nodes in turn.
func redeemAtOnce(ctx context.Context, nodes []*codes.Codes, code string, n int) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			_, errs[i] = nodes[i%len(nodes)].Redeem(ctx, code, pass)
		})
	}
	close(start)
	wg.Wait()
	return errs
}
