//go:build unix

package oauth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/endings"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// nodes returns two nodes of one portal with a shared store at address. They have the
// same clock.
func nodes(t *testing.T, address string) [2]*world {
	t.Helper()
	var both [2]*world
	for i := range both {
		w := newWorld(t)
		below, err := redis.Open(address, redis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := endings.New(below, endings.Options{
			Removed: []string{oauth.GrantPrefix}, Marks: []string{oauth.EndedPrefix}, MarkLifetime: oauth.EndedFor,
		})
		t.Cleanup(func() { s.Close() })
		until(t, "the node is connected", func() bool {
			_, _, err := s.Get(t.Context(), "nothing")
			return err == nil
		})
		w.store.Store = s
		w.restart()
		w.Store = s
		both[i] = w
	}
	both[1].Keys, both[1].clock, both[1].Now = both[0].Keys, both[0].clock, both[0].Now
	return both
}

// holder is someone who refreshes at each node in turn.
type holder struct {
	nodes [2]*world
	token string
	tries int
}

// try refreshes, and says whether that ended the family. Anyone who gets no answer
// tries again, long after the grace.
func (h *holder) try() (done bool, err error) {
	w := h.nodes[h.tries%2]
	h.tries++
	w.clock.Advance(time.Minute)
	tokens, refusal := w.Refresh(context.Background(), oauth.RefreshRequest{Client: w.client("1"), Token: h.token})
	switch {
	case refusal == nil:
		h.token = tokens.Refresh
		return true, nil
	case refusal.Kind == oauth.Internal:
		return false, nil
	}
	return false, fmt.Errorf("after %d tries: %w", h.tries, refusal)
}

// must refreshes until a refresh succeeds.
func (h *holder) must(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		done, err := h.try()
		if err != nil || time.Now().After(deadline) {
			t.Error("the family is over: ", err)
			return
		}
		if done {
			return
		}
	}
}

const families = 20

func holders(t *testing.T, both [2]*world) []*holder {
	t.Helper()
	_, in := both[0].signIn(ada)
	all := make([]*holder, families)
	for i := range all {
		all[i] = &holder{nodes: both, token: both[0].offline(in).Refresh, tries: i}
		all[i].must(t)
	}
	return all
}

func ended(both [2]*world) int {
	return both[0].audit.FilterMessage(string(oauth.GrantEnded)).Len() + both[1].audit.FilterMessage(string(oauth.GrantEnded)).Len()
}

// allAtOnce calls do for all holders at the same time.
func allAtOnce(all []*holder, do func(h *holder)) {
	var running sync.WaitGroup
	for _, h := range all {
		running.Go(func() { do(h) })
	}
	running.Wait()
}

// Sentinel makes a replica the master while all holders refresh. The writes that the
// old master acknowledges before it notices are lost.
func TestAFailoverBySentinelEndsNoFamily(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	second.Follow(first)
	sentinels := redistest.StartSentinels(t, first, 1)
	both := nodes(t, sentinels.URL())
	all := holders(t, both)
	over := make(chan struct{})
	go func() {
		defer close(over)
		sentinels.Failover(t)
		until(t, "the replica is the master", func() bool {
			reply, err := second.Command("ROLE")
			if err != nil {
				return false
			}
			said, err := reply.ToArray()
			if err != nil {
				return false
			}
			role, err := said[0].ToString()
			return err == nil && role == "master"
		})
		until(t, "the nodes know", func() bool {
			for _, w := range both {
				if w.Store.Put(t.Context(), "works", []byte("1"), time.Hour) != nil {
					return false
				}
			}
			_, err := second.Command("GET", "sso:works")
			return err == nil
		})
	}()
	allAtOnce(all, func(h *holder) {
		for {
			h.must(t)
			select {
			case <-over:
				for range 3 {
					h.must(t)
				}
				return
			default:
			}
			if t.Failed() {
				return
			}
		}
	})
	<-over
	if n := ended(both); n != 0 {
		t.Errorf("%d of %d families ended", n, families)
	}
}

// Each family has new tokens that the replica does not know when it becomes the master.
func TestAFailoverToAReplicaThatIsBehindEndsNoFamily(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	second.Follow(first)
	proxy := redistest.StartProxy(t, first)
	both := nodes(t, proxy.URL())
	all := holders(t, both)
	until(t, "the replica has them", func() bool {
		one, other := first.MustCommand("DBSIZE"), second.MustCommand("DBSIZE")
		n, err := one.AsInt64()
		m, err2 := other.AsInt64()
		return err == nil && err2 == nil && n == m
	})
	second.Promote() // from here on it is behind
	allAtOnce(all, func(h *holder) { h.must(t); h.must(t) })
	proxy.LeadTo(second)
	first.Kill()
	allAtOnce(all, func(h *holder) { h.must(t); h.must(t) })
	if n := ended(both); n != 0 {
		t.Errorf("%d of %d families ended", n, families)
	}
	unknown := 0
	for _, w := range both {
		unknown += w.audit.FilterMessage(string(oauth.RefreshAhead)).Len()
	}
	if unknown < families {
		t.Errorf("%d of %d tokens were newer than the store", unknown, families)
	}
}

// A hooked store calls a function before each swap of a grant.
type hooked struct {
	*endings.Store
	before func()
}

func (h *hooked) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if strings.HasPrefix(key, oauth.GrantPrefix) {
		h.before()
	}
	return h.Store.CompareAndSwap(ctx, key, old, next, lifetime)
}

// Redis executes the commands, and its answers are lost.
func TestLostAnswersOfRedisEndNoFamily(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server)
	both := nodes(t, proxy.URL())
	all := holders(t, both)
	var reading sync.WaitGroup
	reading.Add(families)
	for _, w := range both {
		w.Store = &hooked{w.Store.(*endings.Store), func() {
			reading.Done()
			reading.Wait() // until all have read
			proxy.Swallow(true)
		}}
	}
	allAtOnce(all, func(h *holder) {
		if done, err := h.try(); done || err != nil {
			t.Errorf("without an answer: %v, %v", done, err)
		}
	})
	proxy.Swallow(false)
	for _, w := range both {
		w.Store = w.Store.(*hooked).Store
	}
	allAtOnce(all, func(h *holder) { h.must(t); h.must(t) })
	if n := ended(both); n != 0 {
		t.Errorf("%d of %d families ended", n, families)
	}
}
