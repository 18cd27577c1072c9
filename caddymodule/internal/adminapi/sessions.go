package adminapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// SessionEntry is a session as the admin API shows it.
type SessionEntry struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Subject string    `json:"subject"`
	Email   string    `json:"email,omitempty"`
	Groups  []string  `json:"groups,omitempty"`
	Signin  string    `json:"signin"`
	Agent   string    `json:"agent,omitempty"`
	From    string    `json:"from,omitempty"`
	Begun   time.Time `json:"begun"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
}

// Ended has the number of ended sessions, the number of ended persistent grants, and
// whether a search of the whole store for more runs in the background.
type Ended struct {
	Ended     int  `json:"ended"`
	Grants    int  `json:"grants,omitempty"`
	Searching bool `json:"searching,omitempty"`
}

// searchPatience is how long an answer waits for a search of the whole store. It is
// about the time for some thousand sessions.
const searchPatience = 30 * time.Millisecond

func (a API) list(w http.ResponseWriter, r *http.Request) error {
	return a.withRuntime(w, r, http.MethodGet, func(c *appruntime.Runtime) error {
		// One at a time: there may be millions, and this process serves requests.
		listed, before := json.NewEncoder(w), "["
		err := c.Server.Sessions.List(r.Context(), func(s *session.Session) error {
			if before == "[" {
				w.Header().Set("Content-Type", "application/json")
			}
			if _, err := io.WriteString(w, before); err != nil {
				return err
			}
			before = ","
			u := s.User()
			return listed.Encode(SessionEntry{
				ID: s.Key().Whole(), User: u.Name, Subject: u.Subject, Email: u.Email, Groups: u.Groups, Signin: u.Signin,
				Agent: s.Agent(), From: s.From(),
				Begun: s.Begun().UTC(), Seen: s.Seen().UTC(), Expires: s.Expires().UTC(),
			})
		})
		switch {
		case before == "[" && err != nil:
			return adminError(http.StatusServiceUnavailable, err)
		case before == "[":
			return writeAnswer(w, []SessionEntry{})
		case err != nil:
			caddy.Log().Named("sso").Error("listing sessions", zap.Error(err))
			panic(http.ErrAbortHandler) // half a list must not look like a whole one
		}
		_, err = io.WriteString(w, "]\n")
		return err
	})
}

func (a API) endSession(w http.ResponseWriter, r *http.Request) error {
	id, user := strings.TrimPrefix(r.URL.Path, "/sso/sessions/"), r.URL.Query().Get("user")
	return a.withRuntime(w, r, http.MethodDelete, func(c *appruntime.Runtime) error {
		s, err := c.Server.FindSession(r.Context(), id, user)
		switch {
		case errors.Is(err, session.ErrSearch):
			return searchSession(w, c, id)
		case errors.Is(err, session.ErrNone):
			return adminError(http.StatusNotFound, errNoSession)
		case err != nil:
			return adminError(http.StatusServiceUnavailable, err)
		}
		grants, err := c.Server.EndSessionAndGrants(r.Context(), oauth.SignedIn{Session: s, User: s.User()}, "", "by the operator")
		if err != nil {
			return adminError(http.StatusServiceUnavailable,
				fmt.Errorf("%w; repeat the command, or end all sessions of the user with: caddy sso user end %s", err, s.User().Subject))
		}
		return writeAnswer(w, Ended{Ended: 1, Grants: grants})
	})
}

var errNoSession = errors.New("there is no such session; see: caddy sso session list")

// searchSession ends a session that is found only by a search of the whole store.
func searchSession(w http.ResponseWriter, c *appruntime.Runtime, id string) error {
	search, err := c.State.Searches.Session(c.Server, id)
	if err != nil {
		return adminError(http.StatusServiceUnavailable, err)
	}
	over, sessions, grants, err := search.Wait(searchPatience)
	switch {
	case !over:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		return writeAnswer(w, Ended{Searching: true})
	case err != nil:
		return adminError(http.StatusServiceUnavailable, err)
	case sessions == 0:
		return adminError(http.StatusNotFound, errNoSession)
	}
	return writeAnswer(w, Ended{Ended: sessions, Grants: grants})
}

func (a API) endUser(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimPrefix(r.URL.Path, "/sso/users/")
	if name == "" {
		return adminError(http.StatusBadRequest, errors.New("the name of the user is missing"))
	}
	return a.withRuntime(w, r, http.MethodDelete, func(c *appruntime.Runtime) error {
		n, grants, err := c.Server.EndByName(r.Context(), name)
		c.Audit.Record(oauth.Event{
			What: oauth.SessionEnded, User: session.User{Name: name},
			Why: fmt.Sprintf("by the operator: all %d, and %d persistent grants", n, grants),
		})
		if err != nil {
			// The search may find sessions and grants that the lists do not have.
			_, searchErr := c.State.Searches.User(c.Server, name)
			return adminError(http.StatusServiceUnavailable,
				fmt.Errorf("%d sessions and %d persistent grants were ended, but not all; repeat the command: %w", n, grants, errors.Join(err, searchErr)))
		}
		return searchUser(w, c, name, Ended{Ended: n, Grants: grants})
	})
}

// searchUser ends sessions and grants that are in no list of the user: an earlier version
// kept no lists, or the store has lost one.
func searchUser(w http.ResponseWriter, c *appruntime.Runtime, name string, before Ended) error {
	search, err := c.State.Searches.User(c.Server, name)
	over, sessions, grants := false, 0, 0
	if err == nil {
		over, sessions, grants, err = search.Wait(searchPatience)
	}
	all := Ended{before.Ended + sessions, before.Grants + grants, !over}
	if err != nil {
		return adminError(http.StatusServiceUnavailable,
			fmt.Errorf("%d sessions and %d persistent grants were ended; the search for others failed: repeat the command: %w", all.Ended, all.Grants, err))
	}
	return writeAnswer(w, all)
}
