package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// columns are those of the table, after the fault.
var columns = []who{known, unknown, newcomer, refresh, revoked}

// row is a fault as the table says it.
func (f fault) row() string {
	cells := []string{f.name}
	for _, w := range columns {
		var said []string
		for _, kind := range f.may[w] {
			said = append(said, string(kind))
		}
		cells = append(cells, strings.Join(said, ", "))
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// What operators are told is what the suite holds, fault by fault.
func TestTheTableOfFaultsSaysWhatTheSuiteHolds(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What users see in a fault\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			rows = append(rows, line)
		}
	}
	header := "| fault"
	for _, w := range columns {
		header += " | " + string(w)
	}
	want := []string{header + " |", "|" + strings.Repeat("---|", len(columns)+1)}
	for _, f := range faults {
		want = append(want, f.row())
	}
	if !slices.Equal(rows, want) {
		t.Errorf("docs/operating.md says\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}
