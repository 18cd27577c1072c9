package caddymodule

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

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI lets an operator see and end sessions:
//
//	GET    /sso/sessions        all live sessions, as a JSON array
//	DELETE /sso/sessions/<id>   ends one, and what was given in it and outlives it;
//	                            ?user=<name> finds it by a part of its ID at once
//	DELETE /sso/users/<name>    ends all of a user's, and what outlives them
//	GET    /sso/license/url     a link of the License API
//	GET    /sso/storage         how the storage is
//	POST   /sso/storage/check   verifies the file of the storage
//	POST   /sso/storage/compact makes it as small as what it has
//	GET    /sso/keys            the keys that sign and seal, without themselves
//	DELETE /sso/keys/<id>       withdraws one, and what it signed or sealed
//	POST   /sso/check           what an authorization URL, the body, would get
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.sso", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (a adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/sso/sessions", Handler: caddy.AdminHandlerFunc(a.list)},
		{Pattern: "/sso/sessions/", Handler: caddy.AdminHandlerFunc(a.endSession)},
		{Pattern: "/sso/users/", Handler: caddy.AdminHandlerFunc(a.endUser)},
		{Pattern: "/sso/storage", Handler: caddy.AdminHandlerFunc(a.storageStatus)},
		{Pattern: "/sso/storage/check", Handler: a.doFileTask("check")},
		{Pattern: "/sso/storage/compact", Handler: a.doFileTask("compact")},
		{Pattern: "/sso/keys", Handler: caddy.AdminHandlerFunc(a.listKeys)},
		{Pattern: "/sso/keys/", Handler: caddy.AdminHandlerFunc(a.withdrawKey)},
		{Pattern: "/sso/check", Handler: caddy.AdminHandlerFunc(a.checkRequest)},
		{Pattern: "/sso/license/url", Handler: caddy.AdminHandlerFunc(a.licenseURL)},
	}
}

// sessionEntry is a session as the admin API shows it.
type sessionEntry struct {
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

// ended says how many sessions were ended, and how many grants that would have
// outlived them, and whether the whole store is being searched for more, in the
// background.
type ended struct {
	Ended     int  `json:"ended"`
	Grants    int  `json:"grants,omitempty"`
	Searching bool `json:"searching,omitempty"`
}

// searchPatience is how long an answer waits for a search of the whole store, which
// a store of some thousand sessions takes.
const searchPatience = 30 * time.Millisecond

func (adminAPI) list(w http.ResponseWriter, r *http.Request) error {
	return withRuntime(w, r, http.MethodGet, func(c *appRuntime) error {
		// One by one: there may be millions, and this is the server itself.
		listed, before := json.NewEncoder(w), "["
		err := c.server.Sessions.List(r.Context(), func(s *session.Session) error {
			if before == "[" {
				w.Header().Set("Content-Type", "application/json")
			}
			if _, err := io.WriteString(w, before); err != nil {
				return err
			}
			before = ","
			u := s.User()
			return listed.Encode(sessionEntry{
				ID: s.Key().Whole(), User: u.Name, Subject: u.Subject, Email: u.Email, Groups: u.Groups, Signin: u.Signin,
				Agent: s.Agent(), From: s.From(),
				Begun: s.Begun().UTC(), Seen: s.Seen().UTC(), Expires: s.Expires().UTC(),
			})
		})
		switch {
		case before == "[" && err != nil:
			return adminError(http.StatusServiceUnavailable, err)
		case before == "[":
			return writeAnswer(w, []sessionEntry{})
		case err != nil:
			caddy.Log().Named("sso").Error("listing sessions", zap.Error(err))
			panic(http.ErrAbortHandler) // half a list must not look like a whole one
		}
		_, err = io.WriteString(w, "]\n")
		return err
	})
}

func (adminAPI) endSession(w http.ResponseWriter, r *http.Request) error {
	id, user := strings.TrimPrefix(r.URL.Path, "/sso/sessions/"), r.URL.Query().Get("user")
	return withRuntime(w, r, http.MethodDelete, func(c *appRuntime) error {
		s, err := c.server.FindSession(r.Context(), id, user)
		switch {
		case errors.Is(err, session.ErrSearch):
			return searchSession(w, c, id)
		case errors.Is(err, session.ErrNone):
			return adminError(http.StatusNotFound, errNoSession)
		case err != nil:
			return adminError(http.StatusServiceUnavailable, err)
		}
		grants, err := c.server.EndSessionAndGrants(r.Context(), oauth.SignedIn{Session: s, User: s.User()}, "", "by the operator")
		if err != nil {
			return adminError(http.StatusServiceUnavailable,
				fmt.Errorf("%w; do it again, or end all that the user has with: caddy sso user end %s", err, s.User().Subject))
		}
		return writeAnswer(w, ended{Ended: 1, Grants: grants})
	})
}

var errNoSession = errors.New("there is no such session; see: caddy sso session list")

// searchSession ends a session that can only be found by reading all of the store.
func searchSession(w http.ResponseWriter, c *appRuntime, id string) error {
	search, err := c.state.searches.Session(c.server, id)
	if err != nil {
		return adminError(http.StatusServiceUnavailable, err)
	}
	over, sessions, grants, err := search.Wait(searchPatience)
	switch {
	case !over:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		return writeAnswer(w, ended{Searching: true})
	case err != nil:
		return adminError(http.StatusServiceUnavailable, err)
	case sessions == 0:
		return adminError(http.StatusNotFound, errNoSession)
	}
	return writeAnswer(w, ended{Ended: sessions, Grants: grants})
}

func (adminAPI) endUser(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimPrefix(r.URL.Path, "/sso/users/")
	if name == "" {
		return adminError(http.StatusBadRequest, errors.New("the name of the user is missing"))
	}
	return withRuntime(w, r, http.MethodDelete, func(c *appRuntime) error {
		n, grants, err := c.server.EndCalled(r.Context(), name)
		c.audit.Record(oauth.Event{
			What: oauth.SessionEnded, User: session.User{Name: name},
			Why: fmt.Sprintf("by the operator: all %d, and %d lasting grants", n, grants),
		})
		if err != nil {
			// What the lists cannot tell, the search may find.
			_, searchErr := c.state.searches.User(c.server, name)
			return adminError(http.StatusServiceUnavailable,
				fmt.Errorf("%d sessions and %d lasting grants have ended, not all; do it again: %w", n, grants, errors.Join(err, searchErr)))
		}
		return searchUser(w, c, name, ended{Ended: n, Grants: grants})
	})
}

// searchUser ends what a user has that is on no list: it began under a version
// without lists, or the store has lost a list.
func searchUser(w http.ResponseWriter, c *appRuntime, name string, before ended) error {
	search, err := c.state.searches.User(c.server, name)
	over, sessions, grants := false, 0, 0
	if err == nil {
		over, sessions, grants, err = search.Wait(searchPatience)
	}
	all := ended{before.Ended + sessions, before.Grants + grants, !over}
	if err != nil {
		return adminError(http.StatusServiceUnavailable,
			fmt.Errorf("%d sessions and %d lasting grants have ended; the search for more, that is on no list, failed; do it again: %w", all.Ended, all.Grants, err))
	}
	return writeAnswer(w, all)
}

// withRuntime runs f over the store of the configuration that is active.
func withRuntime(w http.ResponseWriter, r *http.Request, method string, f func(*appRuntime) error) error {
	httpapi.LimitBodyTime(w, r)
	if r.Method != method {
		w.Header().Set("Allow", method)
		return adminError(http.StatusMethodNotAllowed, fmt.Errorf("method not allowed; use %s", method))
	}
	active, err := caddy.ActiveContext().AppIfConfigured("sso")
	if err != nil {
		return adminError(http.StatusNotFound, errors.New("the active configuration has no sso"))
	}
	app := active.(*App)
	if meant := r.Header.Get(issuerHeader); meant != "" && meant != app.Issuer {
		return adminError(http.StatusConflict, fmt.Errorf("the server here has the issuer %s, not %s: it runs another configuration", app.Issuer, meant))
	}
	c, err := app.runtime()
	if err != nil {
		return adminError(http.StatusServiceUnavailable, err)
	}
	if !c.hold() {
		return adminError(http.StatusServiceUnavailable, errUnavailable)
	}
	defer c.release()
	return f(c)
}

func adminError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

func writeAnswer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Interface guards
var _ caddy.AdminRouter = adminAPI{}
