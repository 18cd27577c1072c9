package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed load.lua
var loadScript []byte

// A row is one route that is compared with others.
type row struct {
	name string // a short letter, as the report has it
	what string

	host     string // host and port, as a browser would send it
	path     string
	cookies  string // the file that has one Cookie header a line
	status   int    // any other is an error
	location string // what Location has to begin with; empty: not looked at
}

// A slice is what one row did in one round.
type slice struct {
	requests int
	seconds  float64
	p50, p99 time.Duration
	cpu      time.Duration // of Caddy, in all
	rss      int64
	wrong    int // unexpected answers
	status   int // of one of them
	broken   int // connections that failed or took over two seconds
}

func (s slice) errors() int { return s.wrong + s.broken }

func (s slice) rate() float64         { return float64(s.requests) / s.seconds }
func (s slice) cpuMicros() float64    { return s.cpu.Seconds() * 1e6 / float64(s.requests) }
func (s slice) busyShare() float64    { return s.cpu.Seconds() / s.seconds }
func (s slice) p50Millis() float64    { return s.p50.Seconds() * 1e3 }
func (s slice) p99Millis() float64    { return s.p99.Seconds() * 1e3 }
func (s slice) rssMegabytes() float64 { return float64(s.rss) / 1e6 }

// wrk loads a row for one slice. The first request has the cookie of that
// number; others follow in their order.
func (r *run) wrk(ctx context.Context, w row, first int) (slice, error) {
	script := filepath.Join(r.dir, "load.lua")
	if err := os.WriteFile(script, loadScript, 0o600); err != nil {
		return slice{}, fmt.Errorf("writing the script of wrk: %w", err)
	}
	_, port, _ := strings.Cut(w.host, ":")
	location := w.location
	if location == "" {
		location = "-"
	}
	cmd := pinned(ctx, loadCore, "wrk",
		"-t1", "-c"+strconv.Itoa(r.connections), "-d"+strconv.Itoa(int(r.slice/time.Second))+"s",
		"-s", script, "http://127.0.0.1:"+port+w.path,
		"--", w.cookies, strconv.Itoa(first), strconv.Itoa(w.status), location, w.host)
	out, err := cmd.Output()
	if err != nil {
		return slice{}, fmt.Errorf("running wrk for row %s: %w: %s", w.name, err, out)
	}
	s, err := parseWrk(out)
	if err != nil {
		return slice{}, fmt.Errorf("row %s: %w: %s", w.name, err, out)
	}
	return s, nil
}

// parseWrk reads the line that load.lua writes.
func parseWrk(out []byte) (slice, error) {
	var s slice
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var duration, p50, p99 int64 // microseconds
		n, err := fmt.Sscanf(lines.Text(), "RESULT %d %d %d %d %d %d %d", &s.requests, &duration, &p50, &p99, &s.wrong, &s.status, &s.broken)
		if n == 0 {
			continue
		}
		if err != nil {
			return slice{}, fmt.Errorf("wrk: unexpected %q: %w", lines.Text(), err)
		}
		if s.requests == 0 || duration == 0 {
			return slice{}, fmt.Errorf("wrk got no answer")
		}
		s.seconds = float64(duration) / 1e6
		s.p50, s.p99 = time.Duration(p50)*time.Microsecond, time.Duration(p99)*time.Microsecond
		return s, nil
	}
	return slice{}, fmt.Errorf("wrk printed no result")
}
