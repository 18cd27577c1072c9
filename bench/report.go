package main

import (
	"fmt"
	"strings"
)

// tolerance is how far the control may be from 1 before a comparison says
// nothing.
const tolerance = 0.03

// busy is the share of its core that Caddy has to have used for its req/s to
// be its own.
const busy = 0.9

// A report is what a run found, part by part; nil parts were not measured.
type report struct {
	machine    machine
	run        run
	gate, auth *comparison
	tokens     []tokenRow
	links      []tokenRow // of the License API
	license    *comparison
	revoked    []*delays
	endings    []ending
	benchmarks []goRow
}

// markdown is the whole report. It carries no date, so that two can be compared
// line by line.
func (r *report) markdown() string {
	var b strings.Builder
	r.header(&b)
	for _, c := range []*comparison{r.gate, r.auth} {
		if c != nil {
			c.write(&b)
		}
	}
	if r.tokens != nil {
		writeTokens(&b, "f: a token beside its signature", r.tokens)
		fmt.Fprintf(&b, "Fresh codes with PKCE S256, obtained before each slice and redeemed over %d connections; %d sessions. "+
			"The raw signature is by the same kind of key, in Go, on Caddy's core, before and after each slice.\n\n", directConnections, tokenSessions)
	}
	if r.links != nil {
		writeTokens(&b, "A link of the License API beside its signature (RS256)", r.links)
	}
	if r.license != nil {
		r.license.write(&b)
	}
	if r.revoked != nil {
		writeRevoked(&b, r.revoked)
	}
	if r.endings != nil {
		writeEndings(&b, r.endings, r.run.stored)
	}
	if r.benchmarks != nil {
		writeBenchmarks(&b, r.benchmarks)
	}
	r.writeAims(&b)
	return b.String()
}

func (r *report) header(b *strings.Builder) {
	m := r.machine
	fmt.Fprintf(b, "# caddy-sso, measured\n\n")
	fmt.Fprintf(b, "- %s, %d cores, %.1f GB, %s; load average before: %s\n", m.cpu, m.cores, float64(m.memory)/1e9, m.kernel, m.load)
	fmt.Fprintf(b, "- Caddy %s, built with %s; %s\n", m.caddyVersion, m.goVersion, m.wrkVersion)
	fmt.Fprintf(b, "- Caddy on core %s with GOMAXPROCS=1, load and upstream on core %s; %d rounds, %s a slice, %d connections of wrk\n\n",
		caddyCore, loadCore, r.run.rounds, r.run.slice, r.run.connections)
}

// write renders one comparison. Its first row is the base, its second the
// control: the same route again.
func (c *comparison) write(b *strings.Builder) {
	fmt.Fprintf(b, "## %s\n\n", c.title)
	c.verdict(b)
	base, first := c.rows[0].name, c.slices[0]
	fmt.Fprintf(b, "| row | what | req/s | ÷ %s, medians | ÷ %s, median of pairs | ÷ %s, by CPU | p50 ms | p99 ms | CPU µs/req | Caddy busy | RSS MB | errors |\n", base, base, base)
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i, w := range c.rows {
		s := c.slices[i]
		if errorsIn(s) > 0 {
			fmt.Fprintf(b, "| %s | %s | VOID | | | | | | | | | %s |\n", w.name, w.what, failures(s))
			continue
		}
		ofMedians, ofPairs := ratios(s, first)
		fmt.Fprintf(b, "| %s | %s | %.0f | %.3f | %.3f | %.3f | %.2f | %.2f | %.1f | %.0f %% | %.0f | 0 |\n", w.name, w.what,
			medianOf(s, slice.rate), ofMedians, ofPairs, ratioByCPU(s, first), medianOf(s, slice.p50Millis), medianOf(s, slice.p99Millis),
			medianOf(s, slice.cpuMicros), 100*medianOf(s, slice.busyShare), medianOf(s, slice.rssMegabytes))
	}
	b.WriteString("\n")
	for i, w := range c.rows {
		if share := medianOf(c.slices[i], slice.busyShare); share < busy {
			fmt.Fprintf(b, "**Row %s: Caddy was busy for %.0f %% of the time only, so the load, or another process on this machine, bounds its req/s. Compare by CPU.**\n\n",
				w.name, 100*share)
		}
	}
	for _, note := range c.notes {
		fmt.Fprintf(b, "%s\n\n", note)
	}
}

// controlOff is how far the control is from 1, in whichever way is worse.
func (c *comparison) controlOff() (ofMedians, ofPairs float64, off bool) {
	ofMedians, ofPairs = ratios(c.slices[1], c.slices[0])
	return ofMedians, ofPairs, far(ofMedians) || far(ofPairs)
}

func far(ratio float64) bool { return ratio < 1-tolerance || ratio > 1+tolerance }

func (c *comparison) verdict(b *strings.Builder) {
	if errorsIn(c.slices[0])+errorsIn(c.slices[1]) > 0 {
		b.WriteString("# THIS RUN SAYS NOTHING: wrong answers on the base or its control\n\n")
		return
	}
	ofMedians, ofPairs, off := c.controlOff()
	if off {
		fmt.Fprintf(b, "# THIS RUN SAYS NOTHING: the control, %s ÷ %s, is off by more than %.0f %%\n\n",
			c.rows[1].name, c.rows[0].name, 100*tolerance)
	}
	fmt.Fprintf(b, "Control: %s ÷ %s = %.3f (ratio of medians), %.3f (median of pairs). Differences below %.0f %% mean nothing.\n\n",
		c.rows[1].name, c.rows[0].name, ofMedians, ofPairs, 100*tolerance)
}

func writeTokens(b *strings.Builder, title string, rows []tokenRow) {
	fmt.Fprintf(b, "## %s\n\n", title)
	fmt.Fprintf(b, "| | answers/s | CPU µs each | raw signature µs | CPU ÷ raw, median of rounds | raw after ÷ before (control) | p50 ms | p99 ms | RSS MB | errors |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, t := range rows {
		if errorsIn(t.slices) > 0 {
			fmt.Fprintf(b, "| %s | VOID | | | | | | | | %s |\n", t.alg, failures(t.slices))
			continue
		}
		control := t.control()
		shown := fmt.Sprintf("%.3f", control)
		if far(control) {
			shown += " **OFF: THIS ROW SAYS NOTHING**"
		}
		fmt.Fprintf(b, "| %s | %.0f | %.1f | %.1f | %.2f | %s | %.2f | %.2f | %.0f | 0 |\n", t.alg,
			medianOf(t.slices, slice.rate), medianOf(t.slices, slice.cpuMicros), t.medianRaw(), t.overRaw(), shown,
			medianOf(t.slices, slice.p50Millis), medianOf(t.slices, slice.p99Millis), medianOf(t.slices, slice.rssMegabytes))
	}
	b.WriteString("\n")
}

func (t tokenRow) perRound(figure func(round int) float64) float64 {
	values := make([]float64, len(t.slices))
	for i := range values {
		values[i] = figure(i)
	}
	return median(values)
}

func (t tokenRow) medianRaw() float64 { return t.perRound(t.raw) }

func (t tokenRow) overRaw() float64 {
	return t.perRound(func(i int) float64 { return t.slices[i].cpuMicros() / t.raw(i) })
}

func (t tokenRow) control() float64 {
	return t.perRound(func(i int) float64 { return t.after[i] / t.before[i] })
}

func writeBenchmarks(b *strings.Builder, rows []goRow) {
	b.WriteString("## Packages alone (`go test -bench`)\n\n")
	b.WriteString("| package | benchmark | ns/op | allocs/op | B/op | bytes of each live entry |\n|---|---|---|---|---|---|\n")
	for _, g := range rows {
		if g.missing != "" {
			fmt.Fprintf(b, "| %s | `%s` | %s | | | |\n", g.pkg, g.name, g.missing)
			continue
		}
		entry := ""
		if g.perEntry != 0 {
			entry = fmt.Sprintf("%.0f", g.perEntry)
		}
		fmt.Fprintf(b, "| %s | %s | %.0f | %.0f | %.0f | %s |\n", g.pkg, g.name, g.ns, g.allocs, g.bytes, entry)
	}
	b.WriteString("\n")
}
