package file

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// If the environment variable killedPath is set, the test binary is the process that is
// killed. It writes to the file at that path, and prints the writes that were
// acknowledged.
const killedPath = "SSO_TEST_KILLED_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(killedPath); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled puts keys, and takes every second key again.
func writeUntilKilled(path string) {
	s, err := Open(path, Options{})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	for writer := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d", writer, i)
				if err := s.Put(ctx, key, []byte(key), time.Hour); err != nil {
					panic(err)
				}
				if i%2 == 0 {
					fmt.Println("put", key)
					continue
				}
				if _, _, err := s.Take(ctx, key); err != nil {
					panic(err)
				}
				fmt.Println("took", key)
			}
		})
	}
	wg.Wait()
}

func TestAcknowledgedWritesSurviveKill9(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sso.db")
	for round := range 3 {
		acknowledged := killWriter(t, path, 200*(round+1))
		s := open(t, path, Options{})
		for key, verb := range acknowledged {
			value, ok, err := s.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if verb == "put" && (!ok || string(value) != key) {
				t.Errorf("round %d: %s was put, and is %q, %v", round, key, value, ok)
			}
			if verb == "took" && ok {
				t.Errorf("round %d: %s was taken, and is back", round, key)
			}
		}
		if values, expiries := counts(t, s); values != expiries {
			t.Errorf("round %d: %d values but %d expiries", round, values, expiries)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killWriter kills a writing process after n acknowledged writes, and returns all
// acknowledged writes.
func killWriter(t *testing.T, path string, n int) map[string]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killedPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := make(map[string]string)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var verb, key string
		if _, err := fmt.Sscan(lines.Text(), &verb, &key); err != nil {
			t.Fatalf("the writer printed %q: %v", lines.Text(), err)
		}
		acknowledged[key] = verb
		if len(acknowledged) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer ended by itself")
	}
	if len(acknowledged) < n {
		t.Fatalf("the writer acknowledged %d writes of %d", len(acknowledged), n)
	}
	return acknowledged
}
