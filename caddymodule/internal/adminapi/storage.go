package adminapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/internal/feedcache"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/file"
)

// StorageStatus is the answer of GET /sso/storage.
type StorageStatus struct {
	Engine string             `json:"engine"`
	Clock  sharedclock.Status `json:"clock"`
	storage.Status

	// How interruptions of the storage affected sessions and tokens that this node
	// knows.
	Known feedcache.Counts `json:"known"`
}

// storageStatus answers GET /sso/storage, also while the storage does not answer.
func (a API) storageStatus(w http.ResponseWriter, r *http.Request) error {
	return a.withRuntime(w, r, http.MethodGet, func(c *appruntime.Runtime) error {
		c.State.CheckClock(r.Context())
		status := StorageStatus{Engine: c.Engine, Clock: c.State.Clock.Status()}
		if engine, ok := c.State.Engine.(interface {
			Status(context.Context) storage.Status
		}); ok {
			status.Status = engine.Status(r.Context())
		}
		status.Known = c.State.Cache.Counts()
		status.Known.Add(c.State.Verified.Counts())
		return writeAnswer(w, status)
	})
}

// progressEvery is how often a long task reports its progress.
const progressEvery = time.Second

// A FileTaskLine is a line of JSON in the answer of a long task on the storage's file: its
// progress, or its result in the last line.
type FileTaskLine struct {
	Things string `json:"things,omitempty"` // that are counted
	Done   int64  `json:"done,omitempty"`
	Total  int64  `json:"total,omitempty"` // 0: not known

	Checked   *file.Checked   `json:"checked,omitempty"`
	Compacted *file.Compacted `json:"compacted,omitempty"`
	Problem   string          `json:"problem,omitempty"`
}

// fileTasks are the long tasks on the storage's file, while a server has it open.
var fileTasks = map[string]func(*file.Store, *http.Request, file.Progress) (FileTaskLine, error){
	"check": func(s *file.Store, r *http.Request, p file.Progress) (FileTaskLine, error) {
		done, err := s.Check(r.Context(), p)
		return FileTaskLine{Checked: &done}, err
	},
	"compact": func(s *file.Store, r *http.Request, p file.Progress) (FileTaskLine, error) {
		done, err := s.Compact(r.Context(), p)
		return FileTaskLine{Compacted: &done}, err
	},
}

// ThrottledProgress passes on the progress of a task, at most once a second.
func ThrottledProgress(tell func(FileTaskLine)) file.Progress {
	last := time.Now()
	return func(things string, done, total int64) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			tell(FileTaskLine{Things: things, Done: done, Total: total})
		}
	}
}

// doFileTask answers POST /sso/storage/check and /sso/storage/compact, line by
// line while the task runs.
func (a API) doFileTask(name string) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		return a.withRuntime(w, r, http.MethodPost, func(c *appruntime.Runtime) error {
			store, ok := c.State.Engine.(*file.Store)
			if !ok {
				return adminError(http.StatusBadRequest, fmt.Errorf("the storage is %s; storage %s is for storage file", c.Engine, name))
			}
			w.Header().Set("Content-Type", "application/x-ndjson")
			out := json.NewEncoder(w)
			last, err := fileTasks[name](store, r, ThrottledProgress(func(l FileTaskLine) {
				if out.Encode(l) == nil {
					_ = http.NewResponseController(w).Flush() // a closed connection ends the request
				}
			}))
			if err != nil {
				last = FileTaskLine{Problem: err.Error()}
			}
			return out.Encode(last)
		})
	}
}
