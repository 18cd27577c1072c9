package command

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func exitAfter(err error) (int, error) {
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

// printTable prints rows below the names of their columns. what names the table in an
// error.
func printTable(what, columns string, rows func(io.Writer)) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, columns)
	rows(table)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing %s: %w", what, err)
	}
	return nil
}

func yesUnless(disabled bool) string {
	if disabled {
		return "no"
	}
	return "yes"
}

// fileCommand returns a command on a file of users or customers. It asks no server: a
// running server follows the file.
func fileCommand(of, use, short string, args cobra.PositionalArgs, run func(caddycmd.Flags) (int, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: caddycmd.WrapCommandFuncForCobra(run)}
	cmd.Flags().StringP("file", "f", "", "The file of "+of+", as after "+of+" in the Caddyfile")
	cmd.MarkFlagRequired("file") //nolint:errcheck // the flag exists
	return cmd
}

// repeatedFlag returns the values of a flag that may be repeated. GetStringArray
// returns none for one empty value.
func repeatedFlag(fl caddycmd.Flags, name string) []string {
	return fl.Lookup(name).Value.(interface{ GetSlice() []string }).GetSlice()
}
