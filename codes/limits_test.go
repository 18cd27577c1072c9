package codes_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
)

func TestEachSessionHasItsOwnLimit(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, clk *clock) {
		l := codes.Limits{PerSession: 2}
		first := mustIssue(t, c, record(1), l)
		clk.Advance(20 * time.Second)
		mustIssue(t, c, record(1), l)
		wantFull(t, c, record(1), l, codes.FullError{RetryAfter: 40 * time.Second, PerSession: true})
		mustIssue(t, c, record(2), l)

		mustRedeem(t, c, first)
		mustIssue(t, c, record(1), l)
		wantFull(t, c, record(1), l, codes.FullError{RetryAfter: time.Minute, PerSession: true})

		clk.Advance(time.Minute)
		mustIssue(t, c, record(1), l)
		mustIssue(t, c, record(1), l)
	})
}

func TestAValidCodeIsNeverEvicted(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, clk *clock) {
		l := codes.Limits{Capacity: 3}
		var issued []string
		for i := range 3 {
			issued = append(issued, mustIssue(t, c, record(byte(i)), l))
			clk.Advance(10 * time.Second)
		}
		for i := range 10 {
			wantFull(t, c, record(byte(10+i)), l, codes.FullError{RetryAfter: 30 * time.Second})
		}
		// A redemption makes room for one code.
		mustRedeem(t, c, issued[1])
		issued[1] = mustIssue(t, c, record(9), l)
		wantFull(t, c, record(10), l, codes.FullError{RetryAfter: 30 * time.Second})

		// The last moment of the oldest code, and the first moment after it.
		clk.Advance(30*time.Second - 1)
		wantFull(t, c, record(10), l, codes.FullError{RetryAfter: time.Second})
		clk.Advance(1)
		issued[0] = mustIssue(t, c, record(10), l)

		for _, code := range issued {
			mustRedeem(t, c, code)
		}
	})
}

func TestDefaultLimits(t *testing.T) {
	c := codes.NewMemory(codes.Options{Now: newClock().Now})
	for range 64 {
		mustIssue(t, c, record(1), codes.Limits{})
	}
	wantFull(t, c, record(1), codes.Limits{}, codes.FullError{RetryAfter: time.Minute, PerSession: true})
	for i := 64; i < 100_000; i++ {
		rec := record(0)
		rec.Session = [32]byte{2, byte(i), byte(i >> 8), byte(i >> 16)}
		rec.Subject = strconv.Itoa(i)
		mustIssue(t, c, rec, codes.Limits{})
	}
	wantFull(t, c, record(3), codes.Limits{}, codes.FullError{RetryAfter: time.Minute})
}

// Anyone who signs in again and again gets a session each time.
func TestAUserHasABoundOverAllSessions(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, clk *clock) {
		l := codes.Limits{PerSession: 2}
		first := mustIssue(t, c, record(0), l)
		clk.Advance(20 * time.Second)
		for i := 1; i < 8; i++ {
			mustIssue(t, c, record(byte(i)), l)
		}
		wantFull(t, c, record(99), l, codes.FullError{RetryAfter: 40 * time.Second, PerSession: true})
		other := record(99)
		other.Subject = "another"
		mustIssue(t, c, other, l)

		mustRedeem(t, c, first)
		mustIssue(t, c, record(0), l)
		wantFull(t, c, record(99), l, codes.FullError{RetryAfter: time.Minute, PerSession: true})
		clk.Advance(time.Minute)
		for i := range 8 {
			mustIssue(t, c, record(byte(i)), l)
		}
		wantFull(t, c, record(99), l, codes.FullError{RetryAfter: time.Minute, PerSession: true})
	})
}

func TestACodeWithoutASubjectCountsForItsSessionOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, _ *clock) {
		for i := range 40 {
			rec := record(byte(i))
			rec.Subject = ""
			mustIssue(t, c, rec, codes.Limits{PerSession: 1})
		}
	})
}

func TestAFailedCheckMakesNoRoom(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, _ *clock) {
		l := codes.Limits{Capacity: 1}
		code := mustIssue(t, c, record(1), l)
		refused := errors.New("no")
		if _, err := c.Redeem(t.Context(), code, func(*codes.Record) error { return refused }); err != refused {
			t.Fatalf("Redeem: %v", err)
		}
		wantFull(t, c, record(2), l, codes.FullError{RetryAfter: time.Minute})
	})
}

// A reload may change the limits while codes are valid.
func TestLimitsMayChangeBetweenCalls(t *testing.T) {
	eachKind(t, func(t *testing.T, c *codes.Codes, clk *clock) {
		long := mustIssue(t, c, record(1), codes.Limits{Lifetime: 10 * time.Minute, Capacity: 3})
		short := codes.Limits{Lifetime: 10 * time.Second, Capacity: 3, PerSession: 2}
		expiring := mustIssue(t, c, record(2), short)
		mustIssue(t, c, record(2), short)
		clk.Advance(10 * time.Second)

		// Expired codes are behind the long one, and still make room: in all, and for
		// their session.
		mustIssue(t, c, record(2), short)
		mustIssue(t, c, record(2), short)
		if _, err := c.Redeem(t.Context(), expiring, pass); !errors.Is(err, codes.ErrUnknown) {
			t.Errorf("error is %v, want ErrUnknown", err)
		}
		mustRedeem(t, c, long)

		// With a smaller capacity new codes are refused, and old codes stay valid.
		kept := mustIssue(t, c, record(3), short)
		wantFull(t, c, record(4), codes.Limits{Lifetime: time.Minute, Capacity: 1}, codes.FullError{RetryAfter: 10 * time.Second})
		mustRedeem(t, c, kept)
	})
}

func TestConcurrentIssuesStayWithinTheLimits(t *testing.T) {
	clk := newClock()
	c := codes.NewMemory(codes.Options{Now: clk.Now})
	l := codes.Limits{Capacity: 100, PerSession: 25}
	var issued, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			_, err := c.Issue(t.Context(), record(byte(i%20)), l)
			var full *codes.FullError
			switch {
			case err == nil:
				issued.Add(1)
			case errors.As(err, &full):
				refused.Add(1)
			default:
				t.Errorf("Issue: %v", err)
			}
		})
	}
	wg.Wait()
	if issued.Load() != 100 || refused.Load() != 900 {
		t.Errorf("%d issued and %d refused, want 100 and 900", issued.Load(), refused.Load())
	}
}
