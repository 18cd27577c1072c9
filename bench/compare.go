package main

import (
	"context"
	"fmt"
	"slices"
)

// A comparison is rows that were measured in turn, over all rounds.
type comparison struct {
	title  string
	notes  []string
	rows   []row
	slices [][]slice // by row, then by round
}

// order is the order of the rows in a round: there and back again, and each
// time another row begins, so that none always has the same place.
func order(rows, round int) []int {
	o := make([]int, rows)
	for i := range o {
		o[i] = (i + round/2) % rows
	}
	if round%2 == 1 {
		slices.Reverse(o)
	}
	return o
}

// compare measures the rows against one Caddy. Each slice begins with the
// cookie after the last that was used, so that all sessions take their turn.
func (r *run) compare(ctx context.Context, c *caddy, cmp *comparison, name string) error {
	cmp.slices = make([][]slice, len(cmp.rows))
	next := 0
	for round := range r.rounds {
		for _, i := range order(len(cmp.rows), round) {
			w := cmp.rows[i]
			s, err := r.measured(ctx, c, w, next)
			if err != nil {
				return err
			}
			next += s.requests
			cmp.slices[i] = append(cmp.slices[i], s)
			r.record(name, round, w.name, s)
		}
	}
	return nil
}

// measured is one slice with what it cost Caddy.
func (r *run) measured(ctx context.Context, c *caddy, w row, first int) (slice, error) {
	return c.costing(func() (slice, error) { return r.wrk(ctx, w, first) })
}

// record keeps every slice for anyone who doubts the medians.
func (r *run) record(part string, round int, row string, s slice) {
	fmt.Fprintf(r.raw, "%s\t%d\t%s\t%d\t%.3f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", part, round, row,
		s.requests, s.seconds, s.p50.Microseconds(), s.p99.Microseconds(), s.cpu.Microseconds(), s.rss, s.wrong, s.status, s.broken)
}
