package redis

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Identities are the replication IDs of the masters, as the watchdog last read them. A
// server gets a new ID when it starts, and when it becomes the master: then writes that
// another master acknowledged may be missing.
type identities struct {
	lone   shard            // if there is no cluster
	slots  []slotRange      // in a cluster: which master has which slots
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

// AskIdentity implements [storage.Identified]. If the Redis user is not allowed to use
// INFO, the identity is empty.
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
		s.wakeWatchdog()
		return "", s.failed(ctx, doing, errDown)
	}
	ask := func(command rueidis.Completed) (string, error) {
		reply, err := await(limited, func() rueidis.RedisResult { return node.Do(limited, command) })
		if err != nil {
			return "", err
		}
		return reply.ToString()
	}
	// In a cluster a node that no longer has the key refuses this command.
	if _, err := ask(node.B().Get().Key(s.options.Prefix + key).Build()); err != nil && !rueidis.IsRedisNil(err) {
		s.wakeWatchdog()
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
		s.wakeWatchdog()
		return "", s.failed(ctx, doing, errDown)
	}
	return identity, nil
}

func askReplication(b rueidis.Builder) rueidis.Completed {
	return b.Info().Section("replication").Build()
}

// replicationID parses the answer of INFO. The ID of a replica is that of its master.
func replicationID(text string) (identity string, isMaster bool) {
	told := parseInfo(text)
	if told["role"] != string(master) {
		return "", false
	}
	return told["master_replid"], true
}

// forbidden reports whether the server does not allow the command, for this user or at
// all.
func forbidden(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && (strings.HasPrefix(answer.Error(), "NOPERM") || strings.Contains(answer.Error(), "unknown command"))
}

// storeIdentities stores the replication IDs of the masters. In a cluster it asks for
// the slots of each master if anything has changed, and also from time to time, since
// slots can move. A master that gave no ID keeps its last one.
func (s *Store) storeIdentities(client rueidis.Client, answers map[string]answer, changed bool) {
	maps.DeleteFunc(s.replicationIDs, func(addr, _ string) bool {
		_, still := answers[addr]
		return !still
	})
	for addr, a := range answers {
		if before, known := s.replicationIDs[addr]; a.role == master && (!known || a.identity != "" && a.identity != before) {
			s.replicationIDs[addr], changed = a.identity, true
		}
	}
	switch {
	case client.Mode() != rueidis.ClientModeCluster:
		for addr, identity := range s.replicationIDs { // there is only one
			s.identities.Store(&identities{lone: shard{addr, identity}})
		}
	case changed || time.Since(s.mapped) > topologyInterval:
		s.mapped = time.Time{} // to try again if this fails
		if shards, err := s.askShards(client.Nodes()); err == nil {
			s.mapped = time.Now()
			s.identities.Store(shards)
		}
	}
}

// askShards asks the masters of a cluster for their IDs, and one of them for the slots.
func (s *Store) askShards(nodes map[string]rueidis.Client) (*identities, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.options.Timeout)
	defer cancel()
	known := &identities{shards: make(map[string]shard)}
	for addr, identity := range s.replicationIDs {
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
