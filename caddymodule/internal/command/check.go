package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
)

func checkCommand() *cobra.Command {
	cmd := subcommand("check", "Explains what an authorization URL would get, and why", cobra.NoArgs, printCheck)
	cmd.Long = `Explains what an authorization URL would get from a running server, and why: what
is wrong with it and what is registered, or where it leads and what is granted.
It fails if the request would be refused. It issues nothing, and signs no user
in.

  caddy sso check --request 'https://login.example.com/oauth2/authorize?client_id=…'`
	cmd.Flags().String("request", "", "The URL that an application sends the browser to, in quotes")
	return cmd
}

func printCheck(fl caddycmd.Flags) (int, error) {
	request := fl.String("request")
	if request == "" {
		return caddy.ExitCodeFailedStartup, errors.New("--request is missing; give the URL that the application sends the browser to, in quotes")
	}
	var check adminapi.RequestCheck
	err := sendAdmin(fl, http.MethodPost, "/sso/check", strings.NewReader(request), func(answer *json.Decoder) error { return answer.Decode(&check) })
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	var text bytes.Buffer
	for _, line := range check.Lines {
		fmt.Fprintln(&text, line)
	}
	if _, err := io.Copy(os.Stdout, &text); err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("printing: %w", err)
	}
	if check.Refused {
		return caddy.ExitCodeFailedStartup, errors.New("the request would be refused")
	}
	return caddy.ExitCodeSuccess, nil
}
