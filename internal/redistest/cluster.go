//go:build unix

package redistest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

const (
	masters = 3
	slots   = 16384
)

// A Cluster has three masters without replicas. Each has a third of the slots.
type Cluster struct {
	Servers []*Server

	args []string
}

// StartCluster starts a cluster and waits until it accepts commands. args are added to
// the command line of each server.
func StartCluster(tb testing.TB, args ...string) *Cluster {
	tb.Helper()
	c := &Cluster{args: args}
	for i := range masters {
		s := c.join(tb)
		first, last := i*slots/masters, (i+1)*slots/masters-1
		s.MustCommand("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
	}
	c.settle(tb)
	return c
}

// AddReplica starts a replica of a master, and waits until it has all values of the
// master. It is not added to Servers.
func (c *Cluster) AddReplica(tb testing.TB, master *Server) *Server {
	tb.Helper()
	reply := master.MustCommand("CLUSTER", "MYID")
	id, err := reply.ToString()
	if err != nil {
		tb.Fatal(err)
	}
	s := c.join(tb)
	c.settle(tb)
	s.MustCommand("CLUSTER", "REPLICATE", id)
	s.awaitMaster()
	c.Servers = c.Servers[:len(c.Servers)-1]
	for _, other := range c.Servers {
		for deadline := time.Now().Add(patience); !other.lists(s); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				tb.Fatalf("the cluster does not list the replica:\n%s", other.log)
			}
		}
	}
	return s
}

// lists reports whether a server names a replica to clients. It does so once it knows
// the replica's offset.
func (s *Server) lists(replica *Server) bool {
	reply, err := s.Command("CLUSTER", "SLOTS")
	if err != nil {
		return false
	}
	_, port, err := net.SplitHostPort(replica.addr)
	return err == nil && strings.Contains(fmt.Sprint(flatten(reply)), " "+port+" ")
}

// flatten returns the values in an answer without its nesting.
func flatten(m rueidis.RedisMessage) (all []any) {
	if list, err := m.ToArray(); err == nil {
		for _, element := range list {
			all = append(all, flatten(element)...)
		}
		return all
	}
	if n, err := m.AsInt64(); err == nil {
		return []any{n}
	}
	text, _ := m.ToString()
	return []any{text}
}

// join starts a server and introduces it to the first one.
func (c *Cluster) join(tb testing.TB) *Server {
	tb.Helper()
	_, bus, err := net.SplitHostPort(freeAddr(tb))
	if err != nil {
		tb.Fatal(err)
	}
	s := Start(tb, append([]string{
		"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "5000",
		"--repl-ping-replica-period", "1",
	}, c.args...)...)
	c.Servers = append(c.Servers, s)
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	if s != c.Servers[0] {
		c.Servers[0].MustCommand("CLUSTER", "MEET", host, port, bus)
	}
	return s
}

// settle waits until every server knows all servers, and accepts commands.
func (c *Cluster) settle(tb testing.TB) {
	tb.Helper()
	for _, s := range c.Servers {
		for deadline := time.Now().Add(patience); !s.sees(len(c.Servers)); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				tb.Fatalf("the cluster does not form:\n%s", s.log)
			}
		}
	}
}

// URL has the addresses of all servers of the cluster.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addrs[i] = s.Addr()
	}
	return "redis://" + strings.Join(addrs, ",")
}

// Keeps reports whether a server of a cluster is the one that stores a key.
func (s *Server) Keeps(key string) bool {
	s.tb.Helper()
	_, err := s.Command("EXISTS", key)
	if err != nil && !strings.Contains(err.Error(), "MOVED ") {
		s.tb.Fatal(err)
	}
	return err == nil
}

func (s *Server) sees(nodes int) bool {
	reply, err := s.Command("CLUSTER", "INFO")
	if err != nil {
		return false
	}
	text, err := reply.ToString()
	return err == nil && strings.Contains(text, "cluster_state:ok") &&
		strings.Contains(text, "cluster_known_nodes:"+strconv.Itoa(nodes)+"\r") &&
		strings.Contains(text, "cluster_size:"+strconv.Itoa(masters))
}
