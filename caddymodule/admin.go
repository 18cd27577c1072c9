package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/endpoint"
	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI lets an operator see and end sessions:
//
//	GET    /sso/sessions        all live sessions, as a JSON array
//	DELETE /sso/sessions/<id>   ends one, and what was given in it and outlives it
//	DELETE /sso/users/<name>    ends all of a user's, and what outlives them
//	GET    /sso/license/url     a link of the License API
//	GET    /sso/storage         how the storage is
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
// outlived them.
type ended struct {
	Ended  int `json:"ended"`
	Grants int `json:"grants,omitempty"`
}

func (adminAPI) list(w http.ResponseWriter, r *http.Request) error {
	return withCore(w, r, http.MethodGet, func(c *core) error {
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
				ID: s.ID(), User: u.Name, Subject: u.Subject, Email: u.Email, Groups: u.Groups, Signin: u.Signin,
				Agent: s.Agent(), From: s.From(),
				Begun: s.Begun().UTC(), Seen: s.Seen().UTC(), Expires: s.Expires().UTC(),
			})
		})
		switch {
		case before == "[" && err != nil:
			return adminError(http.StatusServiceUnavailable, err)
		case before == "[":
			return answer(w, []sessionEntry{})
		case err != nil:
			caddy.Log().Named("sso").Error("listing sessions", zap.Error(err))
			panic(http.ErrAbortHandler) // half a list must not look like a whole one
		}
		_, err = io.WriteString(w, "]\n")
		return err
	})
}

func (adminAPI) endSession(w http.ResponseWriter, r *http.Request) error {
	id := strings.TrimPrefix(r.URL.Path, "/sso/sessions/")
	return withCore(w, r, http.MethodDelete, func(c *core) error {
		s, err := c.server.Sessions.Find(r.Context(), id)
		if errors.Is(err, session.ErrNone) {
			return adminError(http.StatusNotFound, errors.New("there is no such session; see: caddy sso session list"))
		}
		grants := 0
		if err == nil {
			grants, err = c.server.EndSessionAndGrants(r.Context(), oauth.SignedIn{Session: s, User: s.User()}, "", "by the operator")
		}
		if err != nil {
			return adminError(http.StatusServiceUnavailable, err)
		}
		return answer(w, ended{1, grants})
	})
}

func (adminAPI) endUser(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimPrefix(r.URL.Path, "/sso/users/")
	if name == "" {
		return adminError(http.StatusBadRequest, errors.New("the name of the user is missing"))
	}
	return withCore(w, r, http.MethodDelete, func(c *core) error {
		n, err := endUserSessions(r.Context(), c.server.Sessions, name)
		// Sessions first, so that no code of theirs becomes a grant meanwhile.
		grants, grantsErr := c.server.Grants.EndMatching(r.Context(), called(name))
		c.audit.Record(oauth.Event{
			What: oauth.SessionEnded, User: session.User{Name: name},
			Why: fmt.Sprintf("by the operator: all %d, and %d lasting grants", n, grants),
		})
		if err := errors.Join(err, grantsErr); err != nil {
			return adminError(http.StatusServiceUnavailable, fmt.Errorf("%d sessions and %d grants have ended, not all; do it again: %w", n, grants, err))
		}
		return answer(w, ended{n, grants})
	})
}

// endUserSessions ends all sessions of a name or subject. Users may have left
// the configuration, and sessions may be older than the lists of them, so all
// are looked at. What began while that was done is on the lists.
func endUserSessions(ctx context.Context, sessions *session.Sessions, name string) (int, error) {
	subjects := map[string]bool{name: true}
	ended, err := sessions.EndMatching(ctx, func(s *session.Session) bool {
		if !called(name)(s.User()) {
			return false
		}
		subjects[s.User().Subject] = true
		return true
	})
	for subject := range subjects {
		n, listErr := sessions.EndUser(ctx, subject)
		ended += n
		err = errors.Join(err, listErr)
	}
	return ended, err
}

// called matches a user by name or subject.
func called(name string) func(session.User) bool {
	return func(u session.User) bool { return strings.EqualFold(u.Name, name) || u.Subject == name }
}

// withCore runs f over the store of the configuration that is active.
func withCore(w http.ResponseWriter, r *http.Request, method string, f func(*core) error) error {
	endpoint.Hurry(w, r)
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
	c, err := app.core()
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

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Interface guards
var _ caddy.AdminRouter = adminAPI{}
