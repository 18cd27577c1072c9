package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Lists and withdraws the keys that sign tokens and seal values"}
	withdraw := subcommand("withdraw <id>", "Ends a key for good, and what it signed or sealed", cobra.ExactArgs(1), withdrawKey)
	withdraw.Long = "Ends a key for good, as where somebody else may have it. Nothing that it signed or sealed counts from now\n" +
		"on, at any node: tokens of a signing key; refresh tokens and sign-ins under way of the sealing key. A new key\n" +
		"takes the place of one that is in use. Nobody is signed out at the portal. No node writes the key back.\n\n" +
		"An ID that begins with a hyphen stands behind two more: caddy sso keys withdraw -- -abc"
	commandGroup(cmd, subcommand("list", "Lists the keys: ID, use, state", cobra.NoArgs, listKeys), withdraw)
	return cmd
}

func listKeys(fl caddycmd.Flags) (int, error) {
	return printKeys(fl, http.MethodGet, "/sso/keys", "")
}

func withdrawKey(fl caddycmd.Flags) (int, error) {
	id := fl.Arg(0)
	return printKeys(fl, http.MethodDelete, "/sso/keys/"+url.PathEscape(id), id+" is withdrawn. These keys are left:\n")
}

// printKeys prints the keys in an answer of the admin API, below a title.
func printKeys(fl caddycmd.Flags, method, path, title string) (int, error) {
	var all []keys.Description
	if err := callAdmin(fl, method, path, func(answer *json.Decoder) error { return answer.Decode(&all) }); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Print(title)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tUSE\tSTATE\tFROM\tUNTIL")
	when := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.Local().Format(time.DateTime)
	}
	for _, d := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.ID, d.Use, d.State, when(d.UsedFrom), when(d.UsedUntil))
	}
	if err := table.Flush(); err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("printing keys: %w", err)
	}
	return caddy.ExitCodeSuccess, nil
}
