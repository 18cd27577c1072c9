package redis

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Identities are the replication IDs of the masters, as the watchdog was told
// them. A server has a new one since it was started, and since it was made the
// master: what another master acknowledged may be missing there.
type identities struct {
	lone   shard            // of what is no cluster
	slots  []slotRange      // of a cluster: who has which keys
	shards map[string]shard // by the master's ID
}

type shard struct{ addr, identity string }

// Identity implements [storage.Identified].
func (s *Store) Identity(key string) string {
	if known := s.identities.Load(); known != nil {
		return s.shardOf(known, key).identity
	}
	return ""
}

// shardOf returns the shard of a key. It is empty in a cluster whose slots are not
// all known.
func (s *Store) shardOf(known *identities, key string) shard {
	if known.slots == nil {
		return known.lone
	}
	routed := s.redis.B().Get().Key(s.options.Prefix + key).Build()
	for _, r := range known.slots {
		if slot := routed.Slot(); r.first <= slot && slot <= r.last {
			return known.shards[r.owner]
		}
	}
	return shard{}
}

// AskIdentity implements [storage.Identified]. A user of the server that may not
// use INFO is told no identity.
func (s *Store) AskIdentity(ctx context.Context, key string) (string, error) {
	if err := s.usable(ctx); err != nil {
		return "", err
	}
	if err := storage.CheckKey(key); err != nil {
		return "", err
	}
	const doing = "asking redis for its replication ID"
	limited, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	client, err := s.connected(limited)
	if err != nil {
		return "", s.failed(ctx, doing, err)
	}
	known := s.identities.Load()
	if known == nil || s.outage.Load().covers(client, s.options.Prefix+key) {
		return "", s.failed(ctx, doing, errDown)
	}
	node, ok := client.Nodes()[s.shardOf(known, key).addr]
	if !ok {
		s.lookNow()
		return "", s.failed(ctx, doing, errDown)
	}
	ask := func(command rueidis.Completed) (string, error) {
		reply, err := await(limited, func() rueidis.RedisResult { return node.Do(limited, command) })
		if err != nil {
			return "", err
		}
		return reply.ToString()
	}
	// In a cluster this is refused by who has not got the key any more.
	if _, err := ask(node.B().Get().Key(s.options.Prefix + key).Build()); err != nil && !rueidis.IsRedisNil(err) {
		s.lookNow()
		return "", s.failed(ctx, doing, err)
	}
	text, err := ask(askReplication(node.B()))
	switch {
	case forbidden(err):
		return "", nil
	case err != nil:
		return "", s.failed(ctx, doing, err)
	}
	identity, isMaster := replicationID(text)
	if !isMaster {
		s.lookNow()
		return "", s.failed(ctx, doing, errDown)
	}
	return identity, nil
}

func askReplication(b rueidis.Builder) rueidis.Completed {
	return b.Info().Section("replication").Build()
}

// replicationID reads the answer of INFO. That of a replica is its master's.
func replicationID(text string) (identity string, isMaster bool) {
	told := parseInfo(text)
	if told["role"] != string(master) {
		return "", false
	}
	return told["master_replid"], true
}

// forbidden reports whether a server answered that it does not do this for this
// user, or for anybody.
func forbidden(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && (strings.HasPrefix(answer.Error(), "NOPERM") || strings.Contains(answer.Error(), "unknown command"))
}

// noteIdentities keeps the replication IDs that masters told. In a cluster it asks
// again who has which keys where anything changed, and now and then, since slots
// move. Where a master told none, what it told before holds.
func (s *Store) noteIdentities(client rueidis.Client, answers map[string]answer, changed bool) {
	maps.DeleteFunc(s.told, func(addr, _ string) bool {
		_, still := answers[addr]
		return !still
	})
	for addr, a := range answers {
		if before, known := s.told[addr]; a.role == master && (!known || a.identity != "" && a.identity != before) {
			s.told[addr], changed = a.identity, true
		}
	}
	switch {
	case client.Mode() != rueidis.ClientModeCluster:
		for addr, identity := range s.told { // there is one
			s.identities.Store(&identities{lone: shard{addr, identity}})
		}
	case changed || time.Since(s.mapped) > topologyInterval:
		s.mapped = time.Time{} // so that it is tried again if it fails
		if shards, err := s.askShards(client.Nodes()); err == nil {
			s.mapped = time.Now()
			s.identities.Store(shards)
		}
	}
}

// askShards asks the masters of a cluster who they are, and one of them who has
// which keys.
func (s *Store) askShards(nodes map[string]rueidis.Client) (*identities, error) {
	ctx, cancel := context.WithTimeout(s.life, s.options.Timeout)
	defer cancel()
	known := &identities{shards: make(map[string]shard)}
	for addr, identity := range s.told {
		node, still := nodes[addr]
		if !still {
			continue
		}
		id, err := node.Do(ctx, node.B().ClusterMyid().Build()).ToString()
		if err != nil {
			continue // its keys have no identity until it answers
		}
		known.shards[id] = shard{addr, identity}
		if known.slots == nil {
			known.slots, _ = askSlots(ctx, node)
		}
	}
	if known.slots == nil {
		return nil, errDown
	}
	return known, nil
}

var _ storage.Identified = (*Store)(nil)
