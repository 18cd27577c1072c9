package redis

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/storage"
)

// pings are how often the latency is measured.
const pings = 5

// checkServers warns, once, of settings by which servers lose what the store
// keeps. A server that does not tell is not warned of.
func (s *Store) checkServers(client rueidis.Client) {
	var evicting, forgetful []string
	for _, server := range s.askServers(s.life, client.Nodes()) {
		if server.Policy != "" && server.Policy != "noeviction" {
			evicting = append(evicting, server.Address+" ("+server.Policy+")")
		}
		if server.Persistence == "none" {
			forgetful = append(forgetful, server.Address)
		}
	}
	if len(evicting) > 0 {
		s.options.Logger.Warn("redis may drop sessions and signing keys when its memory is full; set maxmemory-policy to noeviction",
			zap.Strings("servers", evicting))
	}
	if len(forgetful) > 0 {
		s.options.Logger.Warn("redis has no persistence: a restart of it signs everybody out; set appendonly to yes",
			zap.Strings("servers", forgetful))
	}
}

// Status says how the servers are.
func (s *Store) Status(ctx context.Context) storage.Status {
	status := &storage.RedisStatus{Prefix: s.options.Prefix}
	limited, cancel := context.WithTimeout(ctx, s.options.Timeout)
	client, err := s.connected(limited)
	cancel()
	if err != nil {
		status.Problem = err.Error()
		return storage.Status{Redis: status}
	}
	switch client.Mode() {
	case rueidis.ClientModeCluster:
		status.Topology = "cluster"
	case rueidis.ClientModeSentinel:
		status.Topology = "sentinel"
	default:
		status.Topology = "single"
		if len(s.turn.hosts) > 1 {
			status.Topology = "replicas"
		}
	}
	status.Servers = s.askServers(ctx, client.Nodes())
	return storage.Status{Redis: status}
}

// askServers asks all servers at once, and returns their answers by address.
func (s *Store) askServers(ctx context.Context, nodes map[string]rueidis.Client) []storage.ServerStatus {
	addrs := slices.Sorted(maps.Keys(nodes))
	answers := make([]storage.ServerStatus, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() { answers[i] = s.askServer(ctx, addr, nodes[addr]) })
	}
	wg.Wait()
	return answers
}

func (s *Store) askServer(ctx context.Context, addr string, node rueidis.Client) storage.ServerStatus {
	server := storage.ServerStatus{Address: addr}
	ask := func(command ...string) rueidis.RedisResult {
		limited, cancel := context.WithTimeout(ctx, s.options.Timeout)
		defer cancel()
		return node.Do(limited, node.B().Arbitrary(command...).Build())
	}
	role, err := s.askRole(ctx, node)
	if err != nil {
		server.Problem = err.Error()
		return server
	}
	server.Role = string(role)
	server.Latency = latency(func() error { return ask("PING").Error() })
	server.Keys, _ = ask("DBSIZE").AsInt64()
	text, err := ask("INFO").ToString()
	if err != nil {
		return server // it is not allowed to everybody
	}
	told := parseInfo(text)
	server.Version = "Redis " + told["redis_version"]
	if v := told["valkey_version"]; v != "" {
		server.Version = "Valkey " + v
	}
	server.Replicas = number(told["connected_slaves"])
	server.UsedMemory, server.MaxMemory = number(told["used_memory"]), number(told["maxmemory"])
	server.Policy = told["maxmemory_policy"]
	server.Persistence = persistence(told["aof_enabled"], func() (string, error) {
		save, err := ask("CONFIG", "GET", "save").AsStrMap()
		return save["save"], err
	})
	return server
}

// persistence names what a server keeps on its disk, if that is known: CONFIG is
// not allowed to everybody.
func persistence(aof string, save func() (string, error)) string {
	schedule, err := save()
	switch {
	case aof == "1" && schedule != "":
		return "rdb and aof"
	case aof == "1":
		return "aof"
	case schedule != "":
		return "rdb"
	case err == nil && aof == "0":
		return "none"
	}
	return ""
}

// latency is the median of a few, or zero if there is no answer.
func latency(ping func() error) time.Duration {
	taken := make([]time.Duration, pings)
	for i := range taken {
		begun := time.Now()
		if err := ping(); err != nil {
			return 0
		}
		taken[i] = time.Since(begun)
	}
	slices.Sort(taken)
	return taken[pings/2]
}

// parseInfo reads the lines of INFO.
func parseInfo(text string) map[string]string {
	told := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			told[name] = value
		}
	}
	return told
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
