package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "sso",
		Short: "Sees and ends sessions of single sign-on, edits users, and tries the License API",
		Long: `Works on the sessions of a running server, through its admin API, and on files
of users.

Subcommands that ask the server take --address, or find the admin address in
--config. "license sign" asks nobody, and all of "user" but "end" take --file.`,
		CobraFunc: func(cmd *cobra.Command) {
			sessions := &cobra.Command{Use: "session", Short: "Sees and ends SSO sessions"}
			sessions.AddCommand(
				subcommand("list", "Lists all live sessions", cobra.NoArgs, listSessions),
				subcommand("end <id>", "Ends one session, and all that hangs on it", cobra.ExactArgs(1), endSession),
			)
			cmd.AddCommand(sessions, userCommand(), licenseCommand())
		},
	})
}

func subcommand(use, short string, args cobra.PositionalArgs, run func(caddycmd.Flags) (int, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: caddycmd.WrapCommandFuncForCobra(run)}
	cmd.Flags().String("address", "", "The address of the admin API, if it is not the default")
	cmd.Flags().StringP("config", "c", "", "A configuration file that has the address")
	cmd.Flags().StringP("adapter", "a", "", "The name of the adapter for the configuration file")
	return cmd
}

func listSessions(fl caddycmd.Flags) (int, error) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tUSER\tGROUPS\tBEGUN\tLAST SEEN\tFROM\tENDS AT THE LATEST")
	err := call(fl, http.MethodGet, "/sso/sessions", func(answer *json.Decoder) error {
		if _, err := answer.Token(); err != nil {
			return err
		}
		for answer.More() {
			var e sessionEntry
			if err := answer.Decode(&e); err != nil {
				return err
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.User, strings.Join(e.Groups, ","),
				e.Begun.Local().Format(time.DateTime), e.Seen.Local().Format(time.DateTime), e.From, e.Expires.Local().Format(time.DateTime))
		}
		_, err := answer.Token() // the end, if it came that far
		return err
	})
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if err := table.Flush(); err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("printing sessions: %w", err)
	}
	return caddy.ExitCodeSuccess, nil
}

func endSession(fl caddycmd.Flags) (int, error) {
	return end(fl, "/sso/sessions/"+url.PathEscape(fl.Arg(0)))
}

func endUser(fl caddycmd.Flags) (int, error) {
	return end(fl, "/sso/users/"+url.PathEscape(fl.Arg(0)))
}

func end(fl caddycmd.Flags, path string) (int, error) {
	var n ended
	if err := call(fl, http.MethodDelete, path, func(answer *json.Decoder) error { return answer.Decode(&n) }); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Printf("%d ended\n", n.Ended)
	if n.Grants > 0 {
		fmt.Printf("%d lasting grants ended\n", n.Grants)
	}
	return caddy.ExitCodeSuccess, nil
}

// call asks the admin API, and hands its answer to read.
func call(fl caddycmd.Flags, method, path string, read func(answer *json.Decoder) error) error {
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return fmt.Errorf("finding the admin API: %w", err)
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, path, nil, nil)
	if err != nil {
		return fmt.Errorf("asking the admin API at %s: %w", address, err)
	}
	defer resp.Body.Close()
	if err := read(json.NewDecoder(resp.Body)); err != nil {
		return fmt.Errorf("reading the answer of the admin API: %w", err)
	}
	return nil
}
