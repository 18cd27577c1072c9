package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Log is what a server wrote, line by line. The server writes into a file
// itself, so what it wrote before it answered is there when the answer is.
type Log struct {
	file *os.File

	mu    sync.Mutex
	read  int64
	lines []string
	part  []byte // of a line that has no end yet
}

func newLog(tb testing.TB) *Log {
	tb.Helper()
	file, err := os.OpenFile(filepath.Join(tb.TempDir(), "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = file.Close() })
	return &Log{file: file}
}

// catchUp reads what was written since.
func (l *Log) catchUp() {
	written, err := io.ReadAll(io.NewSectionReader(l.file, l.read, math.MaxInt64-l.read))
	l.read += int64(len(written))
	if err != nil {
		written = fmt.Appendf(written, "the log cannot be read: %v\n", err)
	}
	l.part = append(l.part, written...)
	for {
		line, rest, complete := bytes.Cut(l.part, []byte("\n"))
		if !complete {
			return
		}
		l.lines = append(l.lines, string(line))
		l.part = rest
	}
}

// Lines are all lines so far.
func (l *Log) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catchUp()
	return slices.Clone(l.lines)
}

// Audit returns the entries of the audit log whose message is what; "" means
// all of them.
func (l *Log) Audit(what string) []map[string]any {
	return slices.DeleteFunc(l.Entries("sso.audit"), func(e map[string]any) bool {
		return what != "" && e["msg"] != what
	})
}

// Entries returns the entries of a logger and of those below it.
func (l *Log) Entries(logger string) []map[string]any {
	var entries []map[string]any
	for _, line := range l.Lines() {
		var e map[string]any
		if json.Unmarshal([]byte(line), &e) != nil {
			continue // not every line is an entry
		}
		name, _ := e["logger"].(string)
		if name == logger || strings.HasPrefix(name, logger+".") {
			entries = append(entries, e)
		}
	}
	return entries
}

// Containing returns the lines that contain a text.
func (l *Log) Containing(text string) []string {
	return slices.DeleteFunc(l.Lines(), func(line string) bool { return !strings.Contains(line, text) })
}

func (l *Log) has(from int, text string) bool {
	return slices.ContainsFunc(l.Lines()[from:], func(line string) bool { return strings.Contains(line, text) })
}

func (l *Log) tail(n int) string {
	lines := l.Lines()
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// from returns n lines, of which the first contains a text; "" if none does.
func (l *Log) from(text string, n int) string {
	lines := l.Lines()
	i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, text) })
	if i < 0 {
		return ""
	}
	return strings.Join(lines[i:min(len(lines), i+n)], "\n")
}
