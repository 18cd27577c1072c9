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

// redeemStored redeems a code whose record is in the store. The marker that
// says "spent" is what nodes race for, and it is there before the record goes:
// so a replay never finds neither.
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
	// The record may outlive its removal, so the marker must outlive the record.
	lifetime := max(SpentRetention, rec.Expires.Sub(now)+time.Minute)
	first, err := c.store.CompareAndSwap(ctx, spentKey(id), nil, marker, lifetime)
	if err != nil {
		return nil, fmt.Errorf("redeeming code: claiming it: %w", err)
	}
	if !first {
		return nil, c.spentOrUnknown(ctx, id)
	}
	c.release(id)
	// The claim is made. A record that could not be removed expires by itself,
	// and until then the marker stands before it.
	c.store.Take(ctx, codeKey(id)) //nolint:errcheck // the marker is what counts
	return rec, nil
}

// readStored returns the record of a live code and its format, and when it was found
// to be one.
func (c *Codes) readStored(ctx context.Context, id codeID) (*Record, records.Format, time.Time, error) {
	value, ok, err := c.store.Get(ctx, codeKey(id))
	now := c.now()
	if err != nil {
		return nil, 0, now, fmt.Errorf("redeeming code: reading record: %w", err)
	}
	if !ok {
		return nil, 0, now, c.spentOrUnknown(ctx, id)
	}
	rec := Record{Version: records.Version} // which codes once did not have
	if err := records.Decode(value, &rec, &rec.Version); err != nil {
		return nil, 0, now, fmt.Errorf("redeeming code: decoding record: %w", err)
	}
	if !now.Before(rec.Expires) {
		return nil, 0, now, c.spentOrUnknown(ctx, id)
	}
	return &rec, records.FormatOf(value), now, nil
}

// discardStored removes a code whose record is in the store. One that is being
// redeemed at the same moment may be redeemed all the same.
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

// spentOrUnknown says why there is no live record of a code.
func (c *Codes) spentOrUnknown(ctx context.Context, id codeID) error {
	marker, ok, err := c.store.Get(ctx, spentKey(id))
	if err != nil {
		return fmt.Errorf("redeeming code: reading marker: %w", err)
	}
	if !ok {
		return ErrUnknown
	}
	spent := SpentError{Version: records.Version} // which they once did not have
	if err := records.Decode(marker, &spent, &spent.Version); err != nil {
		return fmt.Errorf("redeeming code: decoding marker: %w", err)
	}
	return &spent
}
