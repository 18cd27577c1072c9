package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

const scanBatch = 500

// Scan implements [storage.Store]. The timeout applies to each batch of keys.
func (s *Store) Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.options.Timeout)
	client, err := s.connected(limited)
	cancel()
	if err != nil {
		return s.failed(ctx, "scanning redis", err)
	}
	seen := make(map[string]bool) // SCAN may return a key more than once
	var masters []rueidis.Client
	var silent error
	for addr, node := range client.Nodes() {
		found, err := s.askRole(ctx, node)
		if err != nil {
			silent = fmt.Errorf("%s: %w", addr, err)
			continue
		}
		if found != master { // replicas of a cluster have the same keys
			continue
		}
		if err := s.scanNode(ctx, client, node, prefix, seen, fn); err != nil {
			return err
		}
		masters = append(masters, node)
	}
	if silent == nil && len(masters) == 0 {
		silent = errDown
	}
	if silent != nil && !s.holdAllSlots(ctx, masters) {
		return s.failed(ctx, "scanning redis", silent)
	}
	return nil
}

// holdAllSlots reports whether these nodes have all slots of a cluster. Then a node
// without an answer has no more keys: it was replaced, or is a replica.
func (s *Store) holdAllSlots(ctx context.Context, masters []rueidis.Client) bool {
	if len(masters) == 0 {
		return false
	}
	served, err := s.slotsOf(ctx, masters)
	return err == nil && !slices.Contains(served[:], false)
}

func (s *Store) scanNode(ctx context.Context, client, node rueidis.Client, prefix string, seen map[string]bool,
	fn func(key string, value []byte) error,
) error {
	pattern := globQuoted.Replace(s.options.Prefix+prefix) + "*"
	for cursor := uint64(0); ; {
		if err := s.usable(ctx); err != nil {
			return err
		}
		page, err := s.scanPage(ctx, node, cursor, pattern)
		if err != nil {
			return s.failed(ctx, "scanning redis", err)
		}
		var names []string
		for _, name := range page.Elements {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		values, err := s.getAll(ctx, client, names)
		if err != nil {
			return s.failed(ctx, "reading what redis scanned", err)
		}
		for name, value := range values {
			if err := fn(s.key(name), value); err != nil {
				return err
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return nil
		}
	}
}

func (s *Store) scanPage(ctx context.Context, node rueidis.Client, cursor uint64, pattern string) (rueidis.ScanEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	return node.Do(ctx, node.B().Scan().Cursor(cursor).Match(pattern).Count(scanBatch).Build()).AsScanEntry()
}

// getAll reads names with one GET each, in one pipeline: in a cluster MGET may not have
// keys of several slots. Names without a value are left out.
func (s *Store) getAll(ctx context.Context, client rueidis.Client, names []string) (map[string][]byte, error) {
	if len(names) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	gets := make(rueidis.Commands, len(names))
	for i, name := range names {
		gets[i] = client.B().Get().Key(name).Build()
	}
	values := make(map[string][]byte, len(names))
	for i, reply := range client.DoMulti(ctx, gets...) {
		text, err := reply.ToString()
		if rueidis.IsRedisNil(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		values[names[i]] = []byte(text)
	}
	return values, nil
}

// askRole returns the role of a node, within the timeout of one operation.
func (s *Store) askRole(ctx context.Context, node rueidis.Client) (role, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	return askRole(ctx, node)
}

var globQuoted = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
