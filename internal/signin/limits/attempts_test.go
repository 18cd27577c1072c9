package limits_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/signin"
)

func TestAttemptsThatAreUnderWayCount(t *testing.T) {
	now, allowance := time.Unix(1e9, 0), signin.AttemptLimits{PerAccount: 6, PerAddress: 100, Every: time.Minute}
	a := attemptlimit.New()
	who := limits.Attempt{Names: []string{"demo"}, Address: "192.0.2.1"}
	var ends []func(time.Time, bool)
	for range 3 {
		done, _ := limits.Begin(allowance, a, now, who)
		if done == nil {
			t.Fatal("refused")
		}
		ends = append(ends, done)
	}
	if done, wait := limits.Begin(allowance, a, now, who); done != nil || wait <= 0 {
		t.Fatal("a fourth is let in beside three")
	}
	ends[0](now, true)
	if done, _ := limits.Begin(allowance, a, now, who); done != nil {
		t.Fatal("a fourth is let in after a failure beside two")
	}
	ends[1](now, false)
	done, _ := limits.Begin(allowance, a, now, who)
	if done == nil {
		t.Fatal("refused although one was right")
	}
}

func TestClass18AttemptsThatCostNothingPushOutNobodysFailures(t *testing.T) {
	now, allowance := time.Unix(1e9, 0), signin.AttemptLimits{PerAccount: 1, PerAddress: 5, Every: time.Hour}
	a := attemptlimit.New()
	fail := func(account, address string) {
		t.Helper()
		done, _ := limits.Begin(allowance, a, now, limits.Attempt{Names: []string{account}, Address: address})
		if done == nil {
			t.Fatal("refused")
		}
		done(now, true)
	}
	fail("victim", "192.0.2.1")
	fail("decoy", "192.0.2.2")
	for i := range attemptlimit.MaxKeys {
		address := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		if done, _ := limits.Begin(allowance, a, now, limits.Attempt{Names: []string{"decoy"}, Address: address}); done != nil {
			t.Fatal("the decoy is let in")
		}
		// A client that goes away before its password was compared.
		if done, _ := limits.Begin(allowance, a, now, limits.Attempt{Names: []string{strconv.Itoa(i)}, Address: "192.0.2.3"}); done != nil {
			done(now, false)
		}
	}
	if done, _ := limits.Begin(allowance, a, now, limits.Attempt{Names: []string{"victim"}, Address: "192.0.2.4"}); done != nil {
		t.Error("the failures were forgotten")
	}
	if n := a.Len(); n != 4 {
		t.Errorf("%d buckets, not two accounts and two addresses", n)
	}
}
