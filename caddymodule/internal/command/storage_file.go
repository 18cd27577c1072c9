package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
	"github.com/caddy-sso/caddy-sso/storage/file"
)

// printTaskLine prints the line for people. It returns a failure of the task as an error.
func printTaskLine(l adminapi.FileTaskLine) error {
	switch {
	case l.Problem != "":
		return errors.New(l.Problem)
	case l.Checked != nil:
		fmt.Printf("%d values, of which %d have expired, in %s: no damage\n", l.Checked.Values, l.Checked.Expired, sizeText(l.Checked.Bytes))
	case l.Compacted != nil:
		fmt.Printf("%s before, %s now\n", sizeText(l.Compacted.Before), sizeText(l.Compacted.After))
	case l.Total > 0:
		fmt.Fprintf(os.Stderr, "%d of %d %s\n", l.Done, l.Total, l.Things)
	default:
		fmt.Fprintf(os.Stderr, "%d %s\n", l.Done, l.Things)
	}
	return nil
}

// closedFileTasks are the long tasks on a storage's file that no server has open.
var closedFileTasks = map[string]func(path string, p file.Progress) (adminapi.FileTaskLine, error){
	"check": func(path string, p file.Progress) (adminapi.FileTaskLine, error) {
		done, err := file.Check(path, p)
		return adminapi.FileTaskLine{Checked: &done}, err
	},
	"compact": func(path string, p file.Progress) (adminapi.FileTaskLine, error) {
		done, err := file.Compact(path, p)
		return adminapi.FileTaskLine{Compacted: &done}, err
	},
}

// fileTaskCommand is a command for a long task, on a running server's file or on
// one that none has open.
func fileTaskCommand(name, short string) *cobra.Command {
	cmd := subcommand(name, short, cobra.NoArgs, func(fl caddycmd.Flags) (int, error) {
		if err := runFileTask(fl, name); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
	cmd.Flags().StringP("file", "f", "", "The path of a storage file that no server has open; then no server is asked")
	return cmd
}

func runFileTask(fl caddycmd.Flags, name string) error {
	if fl.Changed("file") {
		if fl.String("file") == "" {
			return errors.New("--file is empty; give its value, or leave it out for the storage of a running server")
		}
		last, err := closedFileTasks[name](fl.String("file"), adminapi.ThrottledProgress(func(l adminapi.FileTaskLine) { _ = printTaskLine(l) }))
		if err != nil {
			return err
		}
		return printTaskLine(last)
	}
	return callAdmin(fl, http.MethodPost, "/sso/storage/"+name, func(answer *json.Decoder) error {
		for {
			var line adminapi.FileTaskLine
			err := answer.Decode(&line)
			if errors.Is(err, io.EOF) {
				return errors.New("the server stopped before the task was done; start it, and repeat the command")
			}
			if err == nil {
				err = printTaskLine(line)
			}
			if err != nil || line.Checked != nil || line.Compacted != nil {
				return err
			}
		}
	})
}
