package attemptlimit_test

import (
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
)

func TestAnAttemptThatWasMadeIsCountedOnce(t *testing.T) {
	now, limit := time.Unix(1e9, 0), attemptlimit.Limit{Key: "a", N: 2, Every: time.Minute}
	c := attemptlimit.New()
	for range 5 {
		if wait := c.Made(now, limit, false); wait != 0 {
			t.Fatal("what was right is counted")
		}
	}
	if c.Len() != 0 {
		t.Error("what was right is remembered")
	}
	for i := range 2 {
		if wait := c.Made(now, limit, true); wait != 0 {
			t.Fatalf("failure %d is one too many", i+1)
		}
	}
	for _, failed := range []bool{true, false, true} {
		if wait := c.Made(now, limit, failed); wait != 30*time.Second {
			t.Errorf("beyond the limit: wait %s", wait)
		}
	}
	if wait := c.Made(now, attemptlimit.Limit{Key: "b", N: 2, Every: time.Minute}, true); wait != 0 {
		t.Error("another key has the same count")
	}
	now = now.Add(30 * time.Second)
	if wait := c.Made(now, limit, false); wait != 0 {
		t.Error("it does not come back evenly")
	}
	if c.Made(now, limit, true) != 0 || c.Made(now, limit, true) == 0 {
		t.Error("more came back than one")
	}
	now = now.Add(time.Minute)
	if c.Made(now, limit, false); c.Len() != 1 {
		t.Error("what all came back is remembered")
	}
}

func TestAHostIsCountedByWhatItCanChangeItsAddressWithin(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "no address": "no address",
	} {
		if got := attemptlimit.Network(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
