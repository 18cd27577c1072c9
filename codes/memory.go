package codes

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// spentCapacity bounds the memory that spent codes take, to some 30 MB. Beyond
// 27 redemptions a second, sustained, the oldest are forgotten before
// SpentRetention is over.
const spentCapacity = 100_000

// redeemHere redeems a code whose record is in the ledger.
func (c *Codes) redeemHere(id codeID, check func(*Record) error) (*Record, error) {
	rec, err := c.find(id)
	if err != nil {
		return nil, err
	}
	// check is not ours, so it runs outside the lock and gets a copy.
	if err := check(rec); err != nil {
		return nil, err
	}
	if err := c.claim(id, rec.Redemption); err != nil {
		return nil, err
	}
	return rec, nil
}

// find returns a copy of the record of a live code.
func (c *Codes) find(id codeID) (*Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, err := c.liveOrSpent(id, c.now())
	if err != nil {
		return nil, err
	}
	return e.record.clone(), nil
}

// claim turns a live code into a spent one, for one caller only.
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

// discardHere removes a code whose record is in the ledger.
func (c *Codes) discardHere(id codeID, check func(*Record) error) (*Record, error) {
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

// liveOrSpent returns the live code under id, or the error that says why there
// is none. The caller holds mu.
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

// spentSet remembers spent codes for SpentRetention, as far as spentCapacity
// reaches. It does not lock.
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

// lookup leaves the order alone: a replay does not prolong the memory of it.
func (s *spentSet) lookup(id codeID, now time.Time) (SpentError, bool) {
	e, ok := s.lru.Peek(id)
	return e.spent, ok && now.Before(e.until)
}
