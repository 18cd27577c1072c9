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

// pings is the number of measurements of the latency.
const pings = 5

// checkServers logs a warning, once, about settings by which servers may lose values.
// If a server does not allow to read its settings, there is no warning.
func (s *Store) checkServers(client rueidis.Client) {
	var evicting, forgetful []string
	for _, server := range s.askServers(s.ctx, client.Nodes()) {
		if server.Policy != "" && server.Policy != "noeviction" {
			evicting = append(evicting, server.Address+" ("+server.Policy+")")
		}
		if server.Persistence == "none" {
			forgetful = append(forgetful, server.Address)
		}
	}
	if len(evicting) > 0 {
		s.options.Logger.Warn("redis may evict sessions and signing keys when its memory is full; set maxmemory-policy to noeviction",
			zap.Strings("servers", evicting))
	}
	if len(forgetful) > 0 {
		s.options.Logger.Warn("redis has no persistence, so its restart signs all users out; set appendonly to yes",
			zap.Strings("servers", forgetful))
	}
}

// Status returns the state of the servers.
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
		if len(s.selector.hosts) > 1 {
			status.Topology = "replicas"
		}
	}
	status.Servers = s.askServers(ctx, client.Nodes())
	return storage.Status{Redis: status}
}

// askServers asks all servers at the same time, and returns their answers by address.
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
		return server // the user may not be allowed to use it
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

// persistence names the kinds of persistence of a server, if that is known: the user
// may not be allowed to use CONFIG.
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

// latency returns the median of some measurements, or zero if there is no answer.
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

// parseInfo parses the answer of INFO.
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
