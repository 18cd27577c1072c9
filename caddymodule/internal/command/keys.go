package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Lists and withdraws the keys that sign tokens and seal values"}
	withdraw := subcommand("withdraw <id>", "Ends a key for ever, with all that it signed or sealed", cobra.ExactArgs(1), withdrawKey)
	withdraw.Long = "Ends a key for ever, for example after a theft. From now on no node accepts what it signed or sealed: tokens of a\n" +
		"signing key; refresh tokens and sign-ins in progress of the sealing key. If the key is in use, a new key takes its\n" +
		"place. Users stay signed in at the portal. No node writes the key back.\n\n" +
		"Put two hyphens before an ID that begins with a hyphen: caddy sso keys withdraw -- -abc"
	commandGroup(cmd, subcommand("list", "Lists the keys: ID, use, state", cobra.NoArgs, listKeys), withdraw)
	return cmd
}

func listKeys(fl caddycmd.Flags) (int, error) {
	return printKeys(fl, http.MethodGet, "/sso/keys", "")
}

func withdrawKey(fl caddycmd.Flags) (int, error) {
	id := fl.Arg(0)
	return printKeys(fl, http.MethodDelete, "/sso/keys/"+url.PathEscape(id), id+" is withdrawn. The other keys:\n")
}

// printKeys prints the keys in an answer of the admin API, below a title.
func printKeys(fl caddycmd.Flags, method, path, title string) (int, error) {
	var all []keys.Description
	if err := callAdmin(fl, method, path, func(answer *json.Decoder) error { return answer.Decode(&all) }); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Print(title)
	return exitAfter(printTable("keys", "ID\tUSE\tSTATE\tFROM\tUNTIL", func(table io.Writer) {
		for _, d := range all {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.ID, d.Use, d.State, timeText(d.UsedFrom), timeText(d.UsedUntil))
		}
	}))
}

// timeText is a time in the zone of this machine, or a hyphen for none.
func timeText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
