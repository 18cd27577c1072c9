package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
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

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// refreshKeys takes over what other nodes did to the keys.
func (c *appRuntime) refreshKeys(ctx context.Context) error {
	err := c.server.Keys.Refresh(ctx)
	if c.signature == nil {
		return err
	}
	return errors.Join(err, c.signature.Refresh(ctx))
}

// listKeys answers GET /sso/keys.
func (adminAPI) listKeys(w http.ResponseWriter, r *http.Request) error {
	return withRuntime(w, r, http.MethodGet, func(c *appRuntime) error {
		all, err := c.server.Keys.List(r.Context())
		if err != nil {
			return adminError(http.StatusServiceUnavailable, err)
		}
		return writeAnswer(w, all)
	})
}

// withdrawKey answers DELETE /sso/keys/<id> with the keys that are left.
func (a adminAPI) withdrawKey(w http.ResponseWriter, r *http.Request) error {
	id := strings.TrimPrefix(r.URL.Path, "/sso/keys/")
	return withRuntime(w, r, http.MethodDelete, func(c *appRuntime) error {
		err := c.server.Keys.Withdraw(r.Context(), id)
		if errors.Is(err, keys.ErrNoKey) {
			return adminError(http.StatusNotFound, errors.New("no key has this ID; see: caddy sso keys list"))
		}
		if err != nil {
			return adminError(http.StatusServiceUnavailable, err)
		}
		c.audit.Record(oauth.Event{What: oauth.KeyWithdrawn, Why: "by the operator: " + id})
		all, err := c.server.Keys.List(r.Context())
		if err != nil {
			return adminError(http.StatusServiceUnavailable, fmt.Errorf("the key is withdrawn; listing those that are left: %w", err))
		}
		return writeAnswer(w, all)
	})
}

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
