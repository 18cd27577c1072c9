package main

import (
	"fmt"
	"strings"
)

// An aim is a figure that the project sets itself, beside what was measured. It
// is a text: nothing passes or fails by it.
type aim struct{ what, set, got string }

// writeAims puts the figures that matter beside what they should be. Rows that
// are void have none.
func (r *report) writeAims(b *strings.Builder) {
	var aims []aim
	ratio := func(c *comparison, row, base, set string) {
		if c == nil {
			return
		}
		aims = append(aims, aim{row + " ÷ " + base + ", ratio of medians", set, c.ratio(row, base)})
	}
	ratio(r.gate, "b", "h", "≥ 0.95")
	ratio(r.gate, "b", "a", "≥ 0.88")
	ratio(r.gate, "b", "c", "≥ 1.6")
	ratio(r.auth, "e", "d", "≥ 0.8")
	for _, t := range r.tokens {
		got := "void"
		if errorsIn(t.slices) == 0 && !far(t.control()) {
			got = fmt.Sprintf("%.1f µs, %.2f × its signature", medianOf(t.slices, slice.cpuMicros), t.overRaw())
		}
		set := map[string]string{"ES256": "≤ 100 µs", "RS256": "≤ 1.15 × its signature"}[t.alg]
		aims = append(aims, aim{"a token with " + t.alg, set, got})
	}
	for _, d := range r.revoked {
		got := fmt.Sprintf("%.2f ms", millis(d.at(99)))
		if d.late > 0 {
			got = fmt.Sprintf("void: %d did not come", d.late)
		}
		aims = append(aims, aim{d.what + ", p99", fmt.Sprintf("≤ %.0f ms", millis(d.aim)), got})
	}
	for _, e := range r.endings {
		if e.aim > 0 {
			aims = append(aims, aim{e.engine + ": " + e.what + ", p99", fmt.Sprintf("≤ %.0f ms", millis(e.aim)), fmt.Sprintf("%.2f ms", millis(e.at(99)))})
		}
	}
	for _, g := range r.benchmarks {
		if set := benchmarkAims[g.pkg+" "+g.name]; set != "" && g.missing == "" {
			got := fmt.Sprintf("%.0f ns, %.0f allocations", g.ns, g.allocs)
			if g.perEntry != 0 {
				got += fmt.Sprintf(", %.0f bytes each", g.perEntry)
			}
			aims = append(aims, aim{g.pkg + " " + g.name, set, got})
		}
	}
	if len(aims) == 0 {
		return
	}
	b.WriteString("## Aims\n\n| what | aim | this run |\n|---|---|---|\n")
	for _, a := range aims {
		fmt.Fprintf(b, "| %s | %s | %s |\n", a.what, a.set, a.got)
	}
	b.WriteString("\n")
}

var benchmarkAims = map[string]string{
	"session Check/1k/serial": "≤ 250 ns, no allocation",
	"session Check/1M/serial": "≤ 1600 ns, no allocation, ≤ 450 bytes a session",
	"gate Handle":             "≤ 2000 ns, ≤ 12 allocations",
}

// ratio is that of the medians of two rows, or why there is none.
func (c *comparison) ratio(row, base string) string {
	if _, _, off := c.controlOff(); off {
		return "void: the control is off"
	}
	r, s := c.find(row), c.find(base)
	if errorsIn(r)+errorsIn(s) > 0 {
		return "void: wrong answers"
	}
	ofMedians, ofPairs := ratios(r, s)
	text := fmt.Sprintf("%.3f (median of pairs %.3f, by CPU %.3f)", ofMedians, ofPairs, ratioByCPU(r, s))
	if min(medianOf(r, slice.busyShare), medianOf(s, slice.busyShare)) < busy {
		text += "; Caddy was not busy: only the last of these counts"
	}
	return text
}

func (c *comparison) find(name string) []slice {
	for i, w := range c.rows {
		if w.name == name {
			return c.slices[i]
		}
	}
	return nil
}
