package storage

import "time"

// A Status describes the state of a store, for operators. Exactly one of its parts is set.
type Status struct {
	Memory *MemoryStatus `json:"memory,omitempty"`
	File   *FileStatus   `json:"file,omitempty"`
	Redis  *RedisStatus  `json:"redis,omitempty"`
}

// A MemoryStatus is the status of a store in this process. Expired values may count
// for a while.
type MemoryStatus struct {
	Values   int `json:"values"`
	Capacity int `json:"capacity"`
}

// A FileStatus is the status of a store in a file.
type FileStatus struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`

	// Unused is the size, in bytes, of free pages, which the next writes use.
	Unused  int64  `json:"unused"`
	Problem string `json:"problem,omitempty"` // the damage that was found; "": none
}

// A RedisStatus is the status of a store on servers.
type RedisStatus struct {
	Topology string         `json:"topology,omitempty"` // single, replicas, sentinel or cluster
	Prefix   string         `json:"key_prefix"`
	Problem  string         `json:"problem,omitempty"` // why no server answers; "": one does
	Servers  []ServerStatus `json:"servers,omitempty"`
}

// A ServerStatus is the status of one server. A field that the server does not tell is zero.
type ServerStatus struct {
	Address     string        `json:"address"`
	Problem     string        `json:"problem,omitempty"` // why the server did not answer; "": it did
	Version     string        `json:"version,omitempty"`
	Role        string        `json:"role,omitempty"`
	Latency     time.Duration `json:"latency_ns,omitempty"` // the median of a few round trips
	Replicas    int64         `json:"replicas,omitempty"`
	Keys        int64         `json:"keys"` // of all programs that use the database
	UsedMemory  int64         `json:"used_memory,omitempty"`
	MaxMemory   int64         `json:"maxmemory,omitempty"`
	Policy      string        `json:"maxmemory_policy,omitempty"`
	Persistence string        `json:"persistence,omitempty"` // none, rdb, aof, or rdb and aof
}
