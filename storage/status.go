package storage

import "time"

// A Status says how a store is, for people who run it. One of its parts is set.
type Status struct {
	Memory *MemoryStatus `json:"memory,omitempty"`
	File   *FileStatus   `json:"file,omitempty"`
	Redis  *RedisStatus  `json:"redis,omitempty"`
}

// A MemoryStatus is that of a store in this process. What has expired may be
// among its values for a while.
type MemoryStatus struct {
	Values   int `json:"values"`
	Capacity int `json:"capacity"`
}

// A FileStatus is that of a store in a file.
type FileStatus struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`

	// Unused is how much of it holds nothing. What is written next goes there.
	Unused  int64  `json:"unused"`
	Problem string `json:"problem,omitempty"` // what is damaged
}

// A RedisStatus is that of a store on servers.
type RedisStatus struct {
	Topology string         `json:"topology,omitempty"` // single, replicas, sentinel or cluster
	Prefix   string         `json:"key_prefix"`
	Problem  string         `json:"problem,omitempty"` // why there is no server
	Servers  []ServerStatus `json:"servers,omitempty"`
}

// A ServerStatus is that of one server. What it does not tell is zero.
type ServerStatus struct {
	Address     string        `json:"address"`
	Problem     string        `json:"problem,omitempty"` // why it tells nothing
	Version     string        `json:"version,omitempty"`
	Role        string        `json:"role,omitempty"`
	Latency     time.Duration `json:"latency_ns,omitempty"` // the median of a few
	Replicas    int64         `json:"replicas,omitempty"`
	Keys        int64         `json:"keys"` // of everybody in the database
	UsedMemory  int64         `json:"used_memory,omitempty"`
	MaxMemory   int64         `json:"maxmemory,omitempty"`
	Policy      string        `json:"maxmemory_policy,omitempty"`
	Persistence string        `json:"persistence,omitempty"` // none, rdb, aof, or rdb and aof
}
