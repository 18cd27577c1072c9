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

// MasterName is what Sentinels call the master.
const MasterName = "mymaster"

// Sentinels are three processes that watch over a master and its replicas.
type Sentinels struct {
	Servers []*Server
}

// StartSentinels starts Sentinels for a master, with args added to the command
// line of each, and waits until they know each other and its replicas.
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
				tb.Fatalf("the Sentinels do not come together:\n%s", one.log)
			}
		}
	}
	return s
}

// startSentinel starts one, whose own state is in its configuration file.
func startSentinel(tb testing.TB, lines, args []string) *Server {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return start(tb, &Server{config: file, args: append([]string{"--sentinel"}, args...)})
}

// Addrs are the addresses of all, joined by commas.
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

// Failover makes a replica the master, in order.
func (s *Sentinels) Failover(tb testing.TB) {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, err := s.Servers[0].Command("SENTINEL", "FAILOVER", MasterName)
		if err == nil {
			return
		}
		if time.Now().After(deadline) { // until it has asked the replica how it is, it has none that is good
			tb.Fatal(err)
		}
	}
}

// watches reports whether a Sentinel knows the two others and all replicas.
func (s *Server) watches(replicas int) bool {
	reply, err := s.Command("SENTINEL", "MASTER", MasterName)
	if err != nil {
		return false
	}
	master, err := reply.AsStrMap()
	return err == nil && master["num-other-sentinels"] == "2" && master["num-slaves"] == fmt.Sprint(replicas) && master["flags"] == "master"
}
