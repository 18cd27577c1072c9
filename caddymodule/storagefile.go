package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/storage/file"
)

// progressEvery is how often a long task says how far it is.
const progressEvery = time.Second

// A fileTaskLine is a line of JSON in the answer of a long task on the storage's
// file: how far it is, or, in the last one, what became of it.
type fileTaskLine struct {
	Things string `json:"things,omitempty"` // that are counted
	Done   int64  `json:"done,omitempty"`
	Total  int64  `json:"total,omitempty"` // 0: not known

	Checked   *file.Checked   `json:"checked,omitempty"`
	Compacted *file.Compacted `json:"compacted,omitempty"`
	Problem   string          `json:"problem,omitempty"`
}

// print writes the line for people. It returns what went wrong, as an error.
func (l fileTaskLine) print() error {
	switch {
	case l.Problem != "":
		return errors.New(l.Problem)
	case l.Checked != nil:
		fmt.Printf("%d values, of which %d have expired, in %s: no damage\n", l.Checked.Values, l.Checked.Expired, bytesOf(l.Checked.Bytes))
	case l.Compacted != nil:
		fmt.Printf("%s before, %s now\n", bytesOf(l.Compacted.Before), bytesOf(l.Compacted.After))
	case l.Total > 0:
		fmt.Fprintf(os.Stderr, "%d of %d %s\n", l.Done, l.Total, l.Things)
	default:
		fmt.Fprintf(os.Stderr, "%d %s\n", l.Done, l.Things)
	}
	return nil
}

// A fileTask is something long that can be done with the storage's file.
type fileTask struct {
	open func(*file.Store, *http.Request, file.Progress) (fileTaskLine, error) // while a server uses it
	path func(string, file.Progress) (fileTaskLine, error)                     // while no server does
}

var fileTasks = map[string]fileTask{
	"check": {
		open: func(s *file.Store, r *http.Request, p file.Progress) (fileTaskLine, error) {
			done, err := s.Check(r.Context(), p)
			return fileTaskLine{Checked: &done}, err
		},
		path: func(path string, p file.Progress) (fileTaskLine, error) {
			done, err := file.Check(path, p)
			return fileTaskLine{Checked: &done}, err
		},
	},
	"compact": {
		open: func(s *file.Store, r *http.Request, p file.Progress) (fileTaskLine, error) {
			done, err := s.Compact(r.Context(), p)
			return fileTaskLine{Compacted: &done}, err
		},
		path: func(path string, p file.Progress) (fileTaskLine, error) {
			done, err := file.Compact(path, p)
			return fileTaskLine{Compacted: &done}, err
		},
	},
}

// throttledProgress hands on what a task tells, once in a while.
func throttledProgress(tell func(fileTaskLine)) file.Progress {
	last := time.Now()
	return func(things string, done, total int64) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			tell(fileTaskLine{Things: things, Done: done, Total: total})
		}
	}
}

// doFileTask answers POST /sso/storage/check and /sso/storage/compact, line by
// line while the task runs.
func (adminAPI) doFileTask(name string) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		return withRuntime(w, r, http.MethodPost, func(c *appRuntime) error {
			store, ok := c.state.engine.(*file.Store)
			if !ok {
				return adminError(http.StatusBadRequest, fmt.Errorf("the storage is %s; storage %s is for storage file", c.engine, name))
			}
			w.Header().Set("Content-Type", "application/x-ndjson")
			out := json.NewEncoder(w)
			last, err := fileTasks[name].open(store, r, throttledProgress(func(l fileTaskLine) {
				if out.Encode(l) == nil {
					_ = http.NewResponseController(w).Flush() // who went away has ended the request
				}
			}))
			if err != nil {
				last = fileTaskLine{Problem: err.Error()}
			}
			return out.Encode(last)
		})
	}
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
	cmd.Flags().StringP("file", "f", "", "The path of a storage file that no server has open; no server is asked then")
	return cmd
}

func runFileTask(fl caddycmd.Flags, name string) error {
	if fl.Changed("file") {
		if fl.String("file") == "" {
			return errors.New("--file is empty; give its value, or leave it out for the storage of a running server")
		}
		last, err := fileTasks[name].path(fl.String("file"), throttledProgress(func(l fileTaskLine) { _ = l.print() }))
		if err != nil {
			return err
		}
		return last.print()
	}
	return callAdmin(fl, http.MethodPost, "/sso/storage/"+name, func(answer *json.Decoder) error {
		for {
			var line fileTaskLine
			err := answer.Decode(&line)
			if errors.Is(err, io.EOF) {
				return errors.New("the server ended before the task did")
			}
			if err == nil {
				err = line.print()
			}
			if err != nil || line.Checked != nil || line.Compacted != nil {
				return err
			}
		}
	})
}
