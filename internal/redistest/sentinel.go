//go:build unix

package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// MasterName is the name of the master in the Sentinels.
const MasterName = "mymaster"

// Sentinels are three processes that monitor a master and its replicas.
type Sentinels struct {
	Servers []*Server
}

// StartSentinels starts Sentinels for a master, and waits until they know each other
// and the master's replicas. args are added to the command line of each.
func StartSentinels(tb testing.TB, master *Server, replicas int, args ...string) *Sentinels {
	tb.Helper()
	host, port, err := net.SplitHostPort(master.addr)
	if err != nil {
		tb.Fatal(err)
	}
	lines := []string{
		fmt.Sprintf("sentinel monitor %s %s %s 2", MasterName, host, port),
		fmt.Sprintf("sentinel down-after-milliseconds %s 1000", MasterName),
		fmt.Sprintf("sentinel failover-timeout %s 5000", MasterName),
	}
	if password := master.arg("--requirepass"); password != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-pass %s %s", MasterName, password))
	}
	s := new(Sentinels)
	for range 3 {
		s.Servers = append(s.Servers, startSentinel(tb, lines, args))
	}
	for _, one := range s.Servers {
		for deadline := time.Now().Add(patience); !one.watches(replicas); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				tb.Fatalf("the Sentinels do not find each other:\n%s", one.log)
			}
		}
	}
	return s
}

// startSentinel starts one Sentinel. Its state is in its configuration file.
func startSentinel(tb testing.TB, lines, args []string) *Server {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return start(tb, &Server{config: file, args: append([]string{"--sentinel"}, args...)})
}

// Addrs has the addresses of all Sentinels, joined by commas.
func (s *Sentinels) Addrs() string {
	addrs := make([]string, len(s.Servers))
	for i, server := range s.Servers {
		addrs[i] = server.Addr()
	}
	return strings.Join(addrs, ",")
}

// URL is the address of the master as a redis URL.
func (s *Sentinels) URL() string {
	return s.Servers[0].scheme() + "+sentinel://" + s.Addrs() + "/" + MasterName
}

// Failover asks the Sentinels to make a replica the master.
func (s *Sentinels) Failover(tb testing.TB) {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, err := s.Servers[0].Command("SENTINEL", "FAILOVER", MasterName)
		if err == nil {
			return
		}
		if time.Now().After(deadline) { // a Sentinel refuses until it has an answer of the replica
			tb.Fatal(err)
		}
	}
}

// watches reports whether a Sentinel knows the other two and all replicas.
func (s *Server) watches(replicas int) bool {
	reply, err := s.Command("SENTINEL", "MASTER", MasterName)
	if err != nil {
		return false
	}
	master, err := reply.AsStrMap()
	return err == nil && master["num-other-sentinels"] == "2" && master["num-slaves"] == fmt.Sprint(replicas) && master["flags"] == "master"
}
