package harness

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// A Log is what a server wrote, line by line.
type Log struct {
	mu    sync.Mutex
	lines []string
	part  []byte // of a line that has no end yet
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, p...)
	for {
		line, rest, complete := bytes.Cut(l.part, []byte("\n"))
		if !complete {
			return len(p), nil
		}
		l.lines = append(l.lines, string(line))
		l.part = slices.Clone(rest)
	}
}

// Lines are all lines so far.
func (l *Log) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
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
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.lines[from:], func(line string) bool { return strings.Contains(line, text) })
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
