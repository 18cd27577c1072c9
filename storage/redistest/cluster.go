//go:build unix

package redistest

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	masters = 3
	slots   = 16384
)

// A Cluster is three masters without replicas, each with a third of the slots.
type Cluster struct {
	Servers []*Server
}

// StartCluster starts a cluster and waits until it takes commands.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := new(Cluster)
	buses := make([]string, masters)
	for i := range masters {
		_, bus, err := net.SplitHostPort(freeAddr(tb))
		if err != nil {
			tb.Fatal(err)
		}
		buses[i] = bus
		c.Servers = append(c.Servers, Start(tb, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "5000"))
	}
	for i, s := range c.Servers {
		first, last := i*slots/masters, (i+1)*slots/masters-1
		s.MustCommand("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		if i > 0 {
			host, port, err := net.SplitHostPort(s.Addr())
			if err != nil {
				tb.Fatal(err)
			}
			c.Servers[0].MustCommand("CLUSTER", "MEET", host, port, buses[i])
		}
	}
	for _, s := range c.Servers {
		for deadline := time.Now().Add(patience); !s.seesWholeCluster(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				tb.Fatalf("the cluster does not come together:\n%s", s.log)
			}
		}
	}
	return c
}

// URL names every server of the cluster.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addrs[i] = s.Addr()
	}
	return "redis://" + strings.Join(addrs, ",")
}

func (s *Server) seesWholeCluster() bool {
	reply, err := s.Command("CLUSTER", "INFO")
	if err != nil {
		return false
	}
	text, err := reply.ToString()
	return err == nil && strings.Contains(text, "cluster_state:ok") &&
		strings.Contains(text, "cluster_known_nodes:"+strconv.Itoa(masters)) &&
		strings.Contains(text, "cluster_size:"+strconv.Itoa(masters))
}
