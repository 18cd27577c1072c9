// Package command is the command `caddy sso`. Its subcommands ask the admin API of a
// running server, or edit files of users and customers.
package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "sso",
		Short: "Shows and ends sessions of single sign-on, edits users, withdraws keys, tests the License API and edits its customers, explains authorization URLs, and maintains the storage",
		Long: `Works on the sessions of a running server, through its admin API, and on files
of users and customers.

Subcommands that ask the server take --address. With --config they read the admin
address from a configuration, and refuse a server whose sso has another issuer.
Without both they ask the server at Caddy's default address. "license sign" asks
no server. All subcommands of "user" except "end", and all of "license customer",
take --file. With --file, "storage check" and "storage compact" work on a file
that no server has open; without it they ask the server.`,
		CobraFunc: func(cmd *cobra.Command) {
			sessions := &cobra.Command{Use: "session", Short: "Shows and ends SSO sessions"}
			end := subcommand("end <id>", "Ends one session, and its codes and tokens", cobra.ExactArgs(1), endSession)
			end.Flags().String("user", "", "The name or subject of the user, for a shortened ID, as in logs")
			end.Long = "Ends one session, and its codes and tokens.\n\n" +
				"The ID is that of \"session list\", or its first 16 characters, as in logs. With Redis, a shortened ID finds only\n" +
				"sessions that this node uses. For others give --user; without it the whole store is searched in the background, and\n" +
				"the log says what was ended."
			commandGroup(sessions, subcommand("list", "Lists all sessions", cobra.NoArgs, listSessions), end)
			commandGroup(cmd, sessions, userCommand(), keysCommand(), licenseCommand(), storageCommand(), checkCommand())
		},
	})
}

// commandGroup makes cmd a command that only has subcommands. For an unknown one, cobra itself
// would print help and report success.
func commandGroup(cmd *cobra.Command, below ...*cobra.Command) {
	cmd.AddCommand(below...)
	cmd.SuggestionsMinimumDistance = 2 // what cobra has for its root
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && args[0] == "help" {
			args = args[1:]
			if found, rest, err := cmd.Find(args); err == nil {
				cmd, args = found, rest
			}
		}
		if len(args) == 0 || !cmd.HasSubCommands() {
			return cmd.Help()
		}
		return unknownCommand(cmd, args[0])
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// The flags belong to the intended command.
		if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return err
	})
}

func unknownCommand(cmd *cobra.Command, name string) error {
	meant := cmd.SuggestionsFor(name)
	if len(meant) == 0 {
		for _, c := range cmd.Commands() {
			meant = append(meant, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q for %q; did you mean %s?", name, cmd.CommandPath(), strings.Join(meant, ", or "))
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
	err := callAdmin(fl, http.MethodGet, "/sso/sessions", func(answer *json.Decoder) error {
		if _, err := answer.Token(); err != nil {
			return err
		}
		for answer.More() {
			var e adminapi.SessionEntry
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
	path := "/sso/sessions/" + url.PathEscape(fl.Arg(0))
	if user := fl.String("user"); user != "" {
		path += "?" + url.Values{"user": {user}}.Encode()
	}
	n, err := endAtAdmin(fl, path)
	if err == nil && n.Searching {
		err = errors.New("the session is not ended yet: the whole store is being searched for it, and the log of Caddy says what was ended; " +
			"to end it at once, give the whole ID of caddy sso session list, or --user")
	}
	return exitAfter(err)
}

func endUser(fl caddycmd.Flags) (int, error) {
	n, err := endAtAdmin(fl, "/sso/users/"+url.PathEscape(fl.Arg(0)))
	if err == nil && n.Searching {
		fmt.Fprintln(os.Stderr, "The whole store is being searched for other sessions of the user, such as those of an earlier version. The log of Caddy says what was ended.")
	}
	return exitAfter(err)
}

// endAtAdmin has the server end something, and prints how much was ended.
func endAtAdmin(fl caddycmd.Flags, path string) (n adminapi.Ended, err error) {
	err = callAdmin(fl, http.MethodDelete, path, func(answer *json.Decoder) error { return answer.Decode(&n) })
	if err != nil {
		return n, err
	}
	fmt.Printf("%d ended\n", n.Ended)
	if n.Grants > 0 {
		fmt.Printf("%d persistent grants ended\n", n.Grants)
	}
	return n, nil
}

// callAdmin sends a request to the admin API, and calls read with its answer.
func callAdmin(fl caddycmd.Flags, method, path string, read func(answer *json.Decoder) error) error {
	return sendAdmin(fl, method, path, nil, read)
}

// sendAdmin is callAdmin with a body.
func sendAdmin(fl caddycmd.Flags, method, path string, body io.Reader, read func(answer *json.Decoder) error) error {
	server, err := serverOfFlags(fl)
	if err != nil {
		return fmt.Errorf("finding the admin API: %w; no server was asked", err)
	}
	headers := http.Header{}
	if server.issuer != "" {
		headers.Set(adminapi.IssuerHeader, server.issuer)
	}
	resp, err := caddycmd.AdminAPIRequest(server.address, method, path, headers, body)
	if err != nil {
		return fmt.Errorf("asking the admin API at %s: %w", server.address, err)
	}
	defer resp.Body.Close()
	if err := read(json.NewDecoder(resp.Body)); err != nil {
		return fmt.Errorf("reading the answer of the admin API: %w", err)
	}
	return nil
}
