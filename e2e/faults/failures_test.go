package faults

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func nothing(*testing.T, *scene) {}

func undone(_ *testing.T, s *scene) { s.undo() }

func become(l Line) func(*testing.T, *scene) {
	return func(_ *testing.T, s *scene) { s.proxy.Become(l) }
}

func killed(_ *testing.T, s *scene)    { s.redis.Kill() }
func restarted(_ *testing.T, s *scene) { s.redis.Restart() }

func frozen(_ *testing.T, s *scene) { s.redis.Freeze() }
func thawed(_ *testing.T, s *scene) { s.redis.Thaw() }

func busy(_ *testing.T, s *scene) {
	go func() { _, _ = s.redis.Command("EVAL", "while true do end", "0") }() // until it is killed
}

func scriptKilled(_ *testing.T, s *scene) { s.redis.MustCommand("SCRIPT", "KILL") }

func loading(_ *testing.T, s *scene) {
	s.redis.MustCommand("DEBUG", "POPULATE", "20000")
	s.redis.MustCommand("CONFIG", "SET", "key-load-delay", "1000")
	go func() { _, _ = s.redis.Command("DEBUG", "RELOAD") }() // until the delay ends
}

func loaded(_ *testing.T, s *scene) { s.redis.MustCommand("CONFIG", "SET", "key-load-delay", "0") }

// demoted makes the server a replica of nobody.
func demoted(_ *testing.T, s *scene)  { s.redis.MustCommand("REPLICAOF", "127.0.0.1", "1") }
func promoted(_ *testing.T, s *scene) { s.redis.Promote() }

func full(_ *testing.T, s *scene)    { s.redis.MustCommand("CONFIG", "SET", "maxmemory", "1") }
func emptied(_ *testing.T, s *scene) { s.redis.MustCommand("CONFIG", "SET", "maxmemory", "0") }

func crowded(_ *testing.T, s *scene) { s.undo = s.redis.RefuseClients() }

func disconnected(_ *testing.T, s *scene) { s.redis.KillConnections() }

func failover(t *testing.T, s *scene) {
	t.Helper()
	s.sentinels.Failover(t)
}

func replicaPromoted(_ *testing.T, s *scene) { s.others[0].Promote() }

func nodeKilled(_ *testing.T, s *scene) { s.Nodes[1].Kill() }

func nodeBack(t *testing.T, s *scene) {
	t.Helper()
	if err := s.Nodes[1].Up(); err != nil {
		t.Fatal(err)
	}
}

func onFullDisk(t *testing.T) *store {
	t.Helper()
	return &store{url: filepath.Join(smallDisk(t), "sso.db")}
}

// smallDisk is a file system of its own. To mount one takes root.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	return dir
}

func diskFull(t *testing.T, s *scene) {
	t.Helper()
	s.undo = fill(t, filepath.Dir(s.url))
}

// fill leaves not a byte, until it is undone.
func fill(t *testing.T, dir string) (undo func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	return func() { _ = os.Remove(path) }
}
