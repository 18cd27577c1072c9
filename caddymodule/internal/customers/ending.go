package customers

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	// disabledEvery is how often EndDisabled checks for disabled customers.
	disabledEvery = time.Second

	// disabledMark is how long a store remembers the customers whose sessions and
	// grants were ended. During that time no start searches the whole store for them
	// again.
	disabledMark = 30 * 24 * time.Hour
)

// EndDisabled ends the sessions and grants of disabled customers in the background,
// until the context ends. So they are not valid again when a customer is enabled
// again, and an intruder in its provider is signed out. While a customer is disabled,
// they are always refused.
func (c *File) EndDisabled(ctx context.Context, search func(ids []string) (*oauth.Search, error)) {
	e := &customersEnding{File: c, search: search}
	ticker := time.NewTicker(disabledEvery)
	defer ticker.Stop()
	failed := ""
	for {
		failure := ""
		if err := e.look(ctx); err != nil && ctx.Err() == nil {
			failure = err.Error()
			if failure != failed {
				c.Log.Warn("sessions and grants of a disabled customer could not be ended; they cannot be used, and the portal tries again", zap.Error(err))
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

// customersEnding knows the disabled customers whose sessions and grants were ended.
type customersEnding struct {
	*File
	// search begins to end all sessions and persistent grants that began by some
	// sign-in methods.
	search func(ids []string) (*oauth.Search, error)

	ended      map[string]bool // by code and IDs; nil: the store was not asked yet
	remembered string          // by the store: a checksum of all disabled customers; "" without any
}

// look ends the sessions and grants of customers that were disabled since the last
// call. The store remembers all disabled customers in one value. The value changes
// when a customer is enabled, even while no server runs.
func (e *customersEnding) look(ctx context.Context) error {
	store, disabled := e.store, e.now.Load().disabled
	names := make(map[string]bool, len(disabled))
	for code, ids := range disabled {
		names[disabledName(code, ids)] = true
	}
	sum := disabledSum(names)
	if e.ended == nil { // another process may have ended it
		stored, _, err := store.Get(ctx, disabledKey)
		if err != nil {
			return fmt.Errorf("looking up which customers were disabled: %w", err)
		}
		if e.ended, e.remembered = map[string]bool{}, string(stored); e.remembered == sum {
			e.ended = names
		}
	}
	var codes, ids []string
	for _, code := range slices.Sorted(maps.Keys(disabled)) {
		if !e.ended[disabledName(code, disabled[code])] {
			codes, ids = append(codes, code), append(ids, disabled[code]...)
		}
	}
	if err := e.endMethods(ctx, codes, ids); err != nil {
		return err
	}
	e.ended = names
	return e.remember(ctx, store, sum)
}

func (e *customersEnding) remember(ctx context.Context, store storage.Store, sum string) (err error) {
	switch sum {
	case e.remembered:
		return nil
	case "":
		_, _, err = store.Take(ctx, disabledKey)
	default:
		err = store.Put(ctx, disabledKey, []byte(sum), disabledMark)
	}
	if err != nil {
		return fmt.Errorf("remembering which customers are disabled: %w", err)
	}
	e.remembered = sum
	return nil
}

// endMethods ends all sessions and persistent grants that began with some sign-in
// methods.
func (e *customersEnding) endMethods(ctx context.Context, codes, ids []string) error {
	if len(ids) == 0 {
		return nil // a method of the Caddyfile is not the customer's alone
	}
	search, err := e.search(ids)
	if err != nil {
		return err
	}
	for over := false; !over; {
		var sessions, grants int
		if over, sessions, grants, err = search.Wait(disabledEvery); over && err == nil {
			e.Log.Info("sessions and grants of disabled customers were ended",
				zap.Strings("customers", codes), zap.Int("sessions", sessions), zap.Int("grants", grants))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return err
}

const disabledKey = "customers-disabled"

func disabledName(code string, ids []string) string { return code + " " + strings.Join(ids, " ") }

func disabledSum(names map[string]bool) string {
	if len(names) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(maps.Keys(names)), "\n")))
	return string(sum[:])
}
