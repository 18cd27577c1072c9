package codes

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// spentCapacity bounds the memory for spent codes to about 30 MB. If there are more
// than 27 redemptions per second for a long time, the oldest spent codes are evicted
// before SpentRetention is over.
const spentCapacity = 100_000

// redeemMemory redeems a code with a record in the ledger.
func (c *Codes) redeemMemory(id codeID, check func(*Record) error) (*Record, error) {
	rec, err := c.find(id)
	if err != nil {
		return nil, err
	}
	// check is code of the caller: it runs without the lock and gets a copy.
	if err := check(rec); err != nil {
		return nil, err
	}
	if err := c.claim(id, rec.Redemption); err != nil {
		return nil, err
	}
	return rec, nil
}

// find returns a copy of the record of a valid code.
func (c *Codes) find(id codeID) (*Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, err := c.liveOrSpent(id, c.now())
	if err != nil {
		return nil, err
	}
	return e.record.clone(), nil
}

// claim turns a valid code into a spent one. Only one caller succeeds.
func (c *Codes) claim(id codeID, redemption string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	e, err := c.liveOrSpent(id, now)
	if err != nil {
		return err
	}
	c.ledger.remove(id)
	spent := e.record.spent(now)
	spent.Redemption = redemption
	c.spent.add(id, spent, now)
	return nil
}

// discardMemory removes a code with a record in the ledger.
func (c *Codes) discardMemory(id codeID, check func(*Record) error) (*Record, error) {
	rec, err := c.find(id)
	if err != nil {
		return nil, err
	}
	if err := check(rec); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.liveOrSpent(id, c.now()); err != nil {
		return nil, err
	}
	c.ledger.remove(id)
	return rec, nil
}

// liveOrSpent returns the valid code under id, or an error: spent or unknown. The
// caller holds mu.
func (c *Codes) liveOrSpent(id codeID, now time.Time) (entry, error) {
	e, ok := c.ledger.lookup(id, now)
	if ok {
		return e, nil
	}
	if spent, ok := c.spent.lookup(id, now); ok {
		return entry{}, &spent
	}
	return entry{}, ErrUnknown
}

// spentSet remembers spent codes for SpentRetention, up to spentCapacity codes. It has
// no lock.
type spentSet struct {
	lru *simplelru.LRU[codeID, spentMarker]
}

type spentMarker struct {
	spent SpentError
	until time.Time
}

func newSpentSet() *spentSet {
	lru, err := simplelru.NewLRU[codeID, spentMarker](spentCapacity, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &spentSet{lru: lru}
}

func (s *spentSet) add(id codeID, spent SpentError, now time.Time) {
	for {
		_, oldest, ok := s.lru.GetOldest()
		if !ok || now.Before(oldest.until) {
			break
		}
		s.lru.RemoveOldest()
	}
	s.lru.Add(id, spentMarker{spent: spent, until: now.Add(SpentRetention)})
}

// lookup does not change the order, so a replay does not extend the time for which the
// code is remembered.
func (s *spentSet) lookup(id codeID, now time.Time) (SpentError, bool) {
	e, ok := s.lru.Peek(id)
	return e.spent, ok && now.Before(e.until)
}
