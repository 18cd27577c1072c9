package harness

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Script is a program in Node, which says what it does in lines of JSON.
type Script struct {
	tb     testing.TB
	lines  chan []byte // closed at its end
	stderr *strings.Builder
}

// StartScript starts a script that lies below e2e, and tells it one thing, as
// JSON, in its argument. It ends with the test.
func StartScript(tb testing.TB, path string, told any) *Script {
	tb.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Fatal("there is no Node; install the Debian package nodejs")
	}
	argument, err := json.Marshal(told)
	if err != nil {
		tb.Fatal(err)
	}
	e2e := filepath.Join(Root(tb), "e2e")
	s := &Script{tb: tb, lines: make(chan []byte, 16), stderr: new(strings.Builder)}
	cmd := exec.Command(node, path, string(argument))
	cmd.Dir, cmd.Stderr = e2e, s.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			s.lines <- []byte(lines.Text())
		}
		_ = cmd.Wait() // what it has to say, it said
		close(s.lines)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range s.lines { // so that the reader ends
		}
		<-ended
	})
	return s
}

// Next waits for the next line.
func (s *Script) Next(into any) error {
	select {
	case line, ok := <-s.lines:
		if !ok {
			return fmt.Errorf("the script ended: %s", s.stderr)
		}
		if err := json.Unmarshal(line, into); err != nil {
			return fmt.Errorf("the script said %s: %w", line, err)
		}
		return nil
	case <-time.After(Patience):
		return errors.New("the script says nothing")
	}
}
