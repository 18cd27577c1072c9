package codes

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

func codeKey(id codeID) string  { return "code:" + hex.EncodeToString(id[:]) }
func spentKey(id codeID) string { return "spent:" + hex.EncodeToString(id[:]) }

// issueStored reserves room in the ledger, then writes the record to the store.
func (c *Codes) issueStored(ctx context.Context, id codeID, rec *Record, l Limits) error {
	value, err := records.Encode(l.Format, rec, nil)
	if err != nil {
		return fmt.Errorf("encoding record: %w", err)
	}
	if err := c.reserve(id, entry{session: rec.Session, subject: rec.Subject, expires: rec.Expires}, l); err != nil {
		return err
	}
	if err := c.store.Put(ctx, codeKey(id), value, l.Lifetime); err != nil {
		c.release(id)
		return fmt.Errorf("storing record: %w", err)
	}
	return nil
}

// redeemStored redeems a code with a record in the store. Concurrent redemptions
// compete for the "spent" marker. The marker is written before the record is removed,
// so a replay always finds one of the two.
func (c *Codes) redeemStored(ctx context.Context, id codeID, check func(*Record) error) (*Record, error) {
	rec, format, now, err := c.readStored(ctx, id)
	if err != nil {
		return nil, err
	}
	spent := rec.spent(now)
	if err := check(rec); err != nil {
		return nil, err
	}
	spent.Redemption = rec.Redemption

	marker, err := records.Encode(format, spent, nil)
	if err != nil {
		return nil, fmt.Errorf("redeeming code: encoding marker: %w", err)
	}
	// The record may not get removed, so the marker must live longer than the record.
	lifetime := max(SpentRetention, rec.Expires.Sub(now)+time.Minute)
	first, err := c.store.CompareAndSwap(ctx, spentKey(id), nil, marker, lifetime)
	if err != nil {
		return nil, fmt.Errorf("redeeming code: claiming it: %w", err)
	}
	if !first {
		return nil, c.spentOrUnknown(ctx, id)
	}
	c.release(id)
	// The code is claimed. If the record cannot be removed, it expires by itself, and
	// the marker protects it until then.
	c.store.Take(ctx, codeKey(id)) //nolint:errcheck // the marker is what counts
	return rec, nil
}

// readStored returns the record of a valid code, its format, and the time of the check.
func (c *Codes) readStored(ctx context.Context, id codeID) (*Record, records.Format, time.Time, error) {
	value, ok, err := c.store.Get(ctx, codeKey(id))
	now := c.now()
	if err != nil {
		return nil, 0, now, fmt.Errorf("redeeming code: reading record: %w", err)
	}
	if !ok {
		return nil, 0, now, c.spentOrUnknown(ctx, id)
	}
	rec := Record{Version: records.Version} // old records have no version
	if err := records.Decode(value, &rec, &rec.Version); err != nil {
		return nil, 0, now, fmt.Errorf("redeeming code: decoding record: %w", err)
	}
	if !now.Before(rec.Expires) {
		return nil, 0, now, c.spentOrUnknown(ctx, id)
	}
	return &rec, records.FormatOf(value), now, nil
}

// discardStored removes a code with a record in the store. A redemption at the same
// moment may still succeed.
func (c *Codes) discardStored(ctx context.Context, id codeID, check func(*Record) error) (*Record, error) {
	rec, _, _, err := c.readStored(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := check(rec); err != nil {
		return nil, err
	}
	_, ok, err := c.store.Take(ctx, codeKey(id))
	if err != nil {
		return nil, fmt.Errorf("discarding code: %w", err)
	}
	if !ok {
		return nil, c.spentOrUnknown(ctx, id)
	}
	c.release(id)
	return rec, nil
}

// spentOrUnknown returns the error for a code without a valid record.
func (c *Codes) spentOrUnknown(ctx context.Context, id codeID) error {
	marker, ok, err := c.store.Get(ctx, spentKey(id))
	if err != nil {
		return fmt.Errorf("redeeming code: reading marker: %w", err)
	}
	if !ok {
		return ErrUnknown
	}
	spent := SpentError{Version: records.Version} // old markers have no version
	if err := records.Decode(marker, &spent, &spent.Version); err != nil {
		return fmt.Errorf("redeeming code: decoding marker: %w", err)
	}
	return &spent
}
