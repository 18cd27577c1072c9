package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/storage"
)

func storageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "storage", Short: "Shows the state of the storage, verifies its file and compacts it"}
	commandGroup(cmd,
		subcommand("status", "Shows the storage of a running server: engine, version, role, latency, sizes", cobra.NoArgs, printStorageStatus),
		fileTaskCommand("check", "Verifies that the file of storage file is not damaged"),
		fileTaskCommand("compact", "Removes the unused space from the file of storage file"),
	)
	return cmd
}

func printStorageStatus(fl caddycmd.Flags) (int, error) {
	var s adminapi.StorageStatus
	if err := callAdmin(fl, http.MethodGet, "/sso/storage", func(answer *json.Decoder) error { return answer.Decode(&s) }); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if err := printStatus(s, os.Stdout); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

// printStatus prints the status for people. It returns an error if the storage does not
// answer.
func printStatus(s adminapi.StorageStatus, to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(name string, values ...any) {
		fmt.Fprintf(table, "%s:\t%s\n", name, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
	}
	line("engine", s.Engine)
	line("clock of this node", clockText(s.Clock))
	var away error
	switch {
	case s.Memory != nil:
		line("values", s.Memory.Values, "of at most", s.Memory.Capacity)
	case s.File != nil:
		line("path", s.File.Path)
		line("size", sizeText(s.File.Bytes))
		line("unused", sizeText(s.File.Unused))
		if s.File.Problem != "" {
			away = errors.New(s.File.Problem)
		}
	case s.Redis != nil:
		line("key prefix", s.Redis.Prefix)
		if s.Redis.Topology != "" {
			line("servers", s.Redis.Topology)
		}
		away = printServers(s, table)
		fmt.Fprintf(table, "this node\t\n")
		line("  interruptions", s.Known.Interruptions)
		line("  requests served unchecked", s.Known.Unchecked)
		line("  requests that waited without success", s.Known.Waited)
		line("  sessions and tokens to be checked", s.Known.Pending)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the status: %w", err)
	}
	return away
}

// printServers writes a block for each server, and returns an error if none of
// them is a master.
func printServers(s adminapi.StorageStatus, table io.Writer) error {
	masters := 0
	for _, server := range s.Redis.Servers {
		line := func(name, value string) {
			if value != "" {
				fmt.Fprintf(table, "  %s:\t%s\n", name, value)
			}
		}
		fmt.Fprintf(table, "%s\t\n", server.Address)
		line("problem", server.Problem)
		if server.Problem != "" {
			continue
		}
		if server.Role == "master" {
			masters++
		}
		line("role", server.Role)
		line("version", server.Version)
		line("latency", server.Latency.Round(time.Microsecond).String())
		line("replicas", fmt.Sprint(server.Replicas))
		line("keys in the database", fmt.Sprint(server.Keys))
		line("memory", memoryText(server))
		line("persistence", server.Persistence)
	}
	if masters > 0 {
		return nil
	}
	return errors.New("no server answers as master: " + cmp.Or(s.Redis.Problem, "see above"))
}

func memoryText(server storage.ServerStatus) string {
	if server.UsedMemory == 0 {
		return ""
	}
	text := sizeText(server.UsedMemory)
	if server.MaxMemory > 0 {
		text += " of " + sizeText(server.MaxMemory)
	}
	return text + ", " + server.Policy
}

func sizeText(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// clockText returns the text of `caddy sso storage status` about the clocks.
func clockText(s sharedclock.Status) string {
	text := "no other than the clock of this node"
	if s.Asked {
		by, direction := s.Difference.Round(time.Millisecond), "ahead of"
		if by < 0 {
			direction = "behind"
		}
		text = fmt.Sprintf("%s %s the clock of the storage, which is used", by.Abs(), direction)
		if !s.Followed {
			text = fmt.Sprintf("%s %s the clock of the storage: more than %s, so each node uses its own clock", by.Abs(), direction, sharedclock.MaxDifference)
		}
	}
	if s.Jump != 0 {
		text += fmt.Sprintf("; has jumped by %s, which is not used yet", s.Jump.Round(time.Millisecond))
	}
	if s.Problem != "" {
		text += "; " + s.Problem
	}
	return text
}
