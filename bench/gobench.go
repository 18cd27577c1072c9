package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// suites are the Go benchmarks of the report. Those that fill a million entries
// first run once; of the others the median of three is taken.
var suites = []struct {
	pkg, pattern string
	count        int
}{
	{"session", "^BenchmarkCheck$", 1},
	{"codes", "^Benchmark(Issue|Redeem)$", 1},
	{"gate", "^Benchmark(Handle|Bearer|VerifySignature)", 3},
	{"loginapi", "^Benchmark(Auth|Token|Refresh)", 3},
	{"keys", "^BenchmarkSign$", 3},
}

// A goRow is one benchmark, or the reason why there is none.
type goRow struct {
	pkg, name                string
	ns, bytes, allocs        float64
	perEntry                 float64 // bytes of memory of each live entry; 0: not reported
	missing                  string
	nanos, sizes, allocCount []float64 // of each run
}

// goBenchmarks runs the benchmarks of the packages, unpinned, as anybody would.
func (r *run) goBenchmarks(ctx context.Context, rep *report) error {
	for _, s := range suites {
		progress("go test -bench %s ./%s", s.pattern, s.pkg)
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", s.pattern, "-benchmem",
			"-count", strconv.Itoa(s.count), "-tags", tags, "./"+s.pkg)
		cmd.Dir, cmd.Stderr = "..", os.Stderr
		out, err := cmd.Output()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			rep.benchmarks = append(rep.benchmarks, goRow{pkg: s.pkg, name: s.pattern, missing: "VOID: " + err.Error()})
			progress("%s", out)
			continue
		}
		rows := parseBenchmarks(s.pkg, out)
		if len(rows) == 0 {
			rows = []goRow{{pkg: s.pkg, name: s.pattern, missing: "no such benchmark"}}
		}
		rep.benchmarks = append(rep.benchmarks, rows...)
	}
	return nil
}

var benchmarkLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// parseBenchmarks reads what go test prints; several runs of one benchmark
// become one row, with the medians.
func parseBenchmarks(pkg string, out []byte) []goRow {
	var rows []goRow
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		m := benchmarkLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		i := slices.IndexFunc(rows, func(r goRow) bool { return r.name == m[1] })
		if i < 0 {
			rows = append(rows, goRow{pkg: pkg, name: m[1]})
			i = len(rows) - 1
		}
		row := &rows[i]
		fields := strings.Fields(m[2])
		for k := 0; k+1 < len(fields); k += 2 {
			value, err := strconv.ParseFloat(fields[k], 64)
			if err != nil {
				continue
			}
			switch fields[k+1] {
			case "ns/op":
				row.nanos = append(row.nanos, value)
			case "B/op":
				row.sizes = append(row.sizes, value)
			case "allocs/op":
				row.allocCount = append(row.allocCount, value)
			case "bytes/session", "B/code":
				row.perEntry = value
			}
		}
	}
	for i := range rows {
		rows[i].ns, rows[i].bytes, rows[i].allocs = median(rows[i].nanos), median(rows[i].sizes), median(rows[i].allocCount)
	}
	return rows
}
