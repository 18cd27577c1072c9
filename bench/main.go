// Command bench measures caddy-sso in one run, and writes one report: what the
// gate costs beside a bare reverse proxy, what a code costs beside a static
// redirect, what a token costs beside its signature, and the Go benchmarks of
// the packages below. README.md says how to read it.
//
// It passes and fails nothing. Rows with an error, and comparisons whose
// control is off, say that they are void.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// The cores that everything is pinned to.
const (
	caddyCore = "0" // Caddy, and the raw signatures that its tokens are compared with
	loadCore  = "1" // wrk, the upstream and this program
	bothCores = "0,1"
)

// outDir is where the report and the slices that it was made from are left.
const outDir = "out"

// A run is what one run was asked for.
type run struct {
	rounds      int
	slice       time.Duration
	connections int
	sessions    int // of the portal; the gate has users of them
	stored      int // sessions in each engine, to end some of
	only        string

	dir   string // temporary
	caddy string // the binary
	raw   io.Writer
}

func main() {
	if len(os.Args) > 1 {
		if part, ok := helpers[os.Args[1]]; ok {
			if err := part(); err != nil {
				fmt.Fprintln(os.Stderr, "bench "+os.Args[1]+":", err)
				os.Exit(1)
			}
			return
		}
	}
	r := run{}
	flag.IntVar(&r.rounds, "rounds", 20, "rounds of each comparison; the tokens take half as many")
	flag.DurationVar(&r.slice, "slice", time.Second, "how long a row is measured in each round, in whole seconds")
	flag.IntVar(&r.connections, "connections", 32, "connections of wrk")
	flag.IntVar(&r.sessions, "sessions", 200_000, "live sessions of the portal")
	flag.IntVar(&r.stored, "stored", 1_000_000, "sessions in each storage engine, of which some are ended")
	flag.StringVar(&r.only, "only", "", "a part alone: gate, auth, token, license, revoke, ending or go")
	flag.StringVar(&r.caddy, "caddy", os.Getenv("CADDY_SSO_BINARY"), "a Caddy with caddy-sso in it; built where there is none")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := r.all(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// all measures everything and writes the report.
func (r *run) all(ctx context.Context) (err error) {
	if err := r.check(); err != nil {
		return err
	}
	if r.dir, err = os.MkdirTemp("", "caddy-sso-bench-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(r.dir)
	if err := os.MkdirAll(outDir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the report: %w", err)
	}
	raw, err := os.Create(filepath.Join(outDir, "slices.tsv"))
	if err != nil {
		return fmt.Errorf("opening the list of slices: %w", err)
	}
	defer raw.Close()
	r.raw = raw
	fmt.Fprintln(raw, "part\tround\trow\trequests\tseconds\tp50_us\tp99_us\tcpu_us\trss_bytes\twrong\tstatus\tbroken")

	if err := r.build(ctx); err != nil {
		return err
	}
	machine, err := describe(r.caddy)
	if err != nil {
		return err
	}
	rep := &report{machine: machine, run: *r}
	for _, part := range []struct {
		name    string
		measure func(context.Context, *report) error
	}{
		{"gate", r.gate},
		{"auth", r.auth},
		{"token", r.token},
		{"license", r.license},
		{"revoke", r.revoke},
		{"ending", r.ending},
		{"go", r.goBenchmarks},
	} {
		if r.only != "" && r.only != part.name {
			continue
		}
		progress("%s", part.name)
		if err := part.measure(ctx, rep); ctx.Err() != nil {
			return errors.New("interrupted")
		} else if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	text := rep.markdown()
	fmt.Print(text)
	if err := os.WriteFile(filepath.Join(outDir, "report.md"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// progress tells anyone who waits; the report alone goes to standard output.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
