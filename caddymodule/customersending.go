package caddymodule

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
)

const (
	// disabledEvery is how often it is looked at which customers are disabled.
	disabledEvery = time.Second

	// disabledMark is for how long a store remembers that what a disabled customer's
	// users had was ended: so long no start reads the whole store for it again.
	disabledMark = 30 * 24 * time.Hour
)

// endDisabled ends, in the background, what the users of customers have who were
// disabled: so that it is not back when a customer is enabled again, and whoever had
// got into its provider is out. While a customer is disabled nothing of it counts in
// any case. It works until the context ends.
func (c *customers) endDisabled(ctx context.Context, on *core) {
	ended := map[string]bool{} // by code
	ticker := time.NewTicker(disabledEvery)
	defer ticker.Stop()
	failed := ""
	for start := true; ; start = false {
		failure := ""
		if err := c.endNewlyDisabled(ctx, on, ended, start); err != nil && ctx.Err() == nil {
			failure = err.Error()
			if failure != failed {
				c.log.Warn("what the users of a disabled customer have could not be ended; nobody can use it, and it is tried again", zap.Error(err))
			}
		}
		failed = failure
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *customers) endNewlyDisabled(ctx context.Context, on *core, ended map[string]bool, start bool) error {
	disabled := c.now.Load().disabled
	for code := range ended {
		if _, still := disabled[code]; still {
			continue
		}
		if _, _, err := on.state.store.Take(ctx, disabledKey(code)); err != nil {
			return fmt.Errorf("forgetting that customer %q was disabled: %w", code, err)
		}
		delete(ended, code)
	}
	var codes, ids []string
	for _, code := range slices.Sorted(maps.Keys(disabled)) {
		if ended[code] {
			continue
		}
		if start { // another process may have ended it
			_, marked, err := on.state.store.Get(ctx, disabledKey(code))
			if err != nil {
				return fmt.Errorf("looking up customer %q: %w", code, err)
			}
			if ended[code] = marked; marked {
				continue
			}
		}
		codes, ids = append(codes, code), append(ids, disabled[code]...)
	}
	if len(codes) == 0 {
		return nil
	}
	if err := c.endWays(ctx, on, codes, ids); err != nil {
		return err
	}
	for _, code := range codes {
		if err := on.state.store.Put(ctx, disabledKey(code), []byte{1}, disabledMark); err != nil {
			return fmt.Errorf("remembering that customer %q is disabled: %w", code, err)
		}
		ended[code] = true
	}
	return nil
}

// endWays ends all sessions and lasting grants that began by ways to sign in.
func (c *customers) endWays(ctx context.Context, on *core, codes, ids []string) error {
	if len(ids) == 0 {
		return nil // who signs in by a way of the Caddyfile is not the customer's alone
	}
	search, err := on.state.searches.Ways(on.server, ids)
	if err != nil {
		return err
	}
	for over := false; !over; {
		var sessions, grants int
		if over, sessions, grants, err = search.Wait(disabledEvery); over && err == nil {
			c.log.Info("what the users of disabled customers had was ended",
				zap.Strings("customers", codes), zap.Int("sessions", sessions), zap.Int("grants", grants))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return err
}

func disabledKey(code string) string { return "customer-disabled:" + code }
