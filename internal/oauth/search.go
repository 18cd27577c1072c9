package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/session"
)

// maxSearches bounds the number of waiting [Search]es.
const maxSearches = 10_000

// errTooManySearches is the error of one more search.
var errTooManySearches = errors.New("too many searches are waiting; try again when the log says that the running search is complete")

// Searches reads the whole store, in the background, for sessions and grants that an
// operator ends and that are on no list: an old release began them, or the store lost
// a list. One search runs at a time. Requests that come meanwhile wait for the next
// search, which serves all of them. It survives a reload.
type Searches struct {
	log  func() *zap.Logger
	life context.Context // ends with Close
	end  context.CancelFunc
	all  sync.WaitGroup

	mu      sync.Mutex
	running bool
	waiting []*Search
}

// A Search is for everything of one user, for one session, or for all users of some
// sign-in methods.
type Search struct {
	server  *Server
	user    string    // a name or a subject
	methods []string  // IDs of sign-in methods
	id      string    // the beginning of a session's ID
	before  time.Time // sessions and grants that began later go on

	done     chan struct{}
	sessions int
	grants   int
	err      error
}

// NewSearches returns Searches that log to the result of log.
func NewSearches(log func() *zap.Logger) *Searches {
	s := &Searches{log: log}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Close stops a running search.
func (s *Searches) Close() {
	s.end()
	s.all.Wait()
}

// User begins a search for the sessions and grants of the users with a name, or with
// that subject, and ends them.
func (s *Searches) User(server *Server, name string) (*Search, error) {
	return s.begin(&Search{server: server, user: name})
}

// Methods begins a search for the sessions and grants of the users of these sign-in
// methods, and ends them.
func (s *Searches) Methods(server *Server, ids []string) (*Search, error) {
	return s.begin(&Search{server: server, methods: ids})
}

// Session begins a search for a session by the beginning of its ID (see
// [session.ErrSearch]), and ends it with the grants that were given in it.
func (s *Searches) Session(server *Server, id string) (*Search, error) {
	return s.begin(&Search{server: server, id: id})
}

// Wait waits a short time for the end of the search. It reports whether the search
// has ended, and how many sessions and persistent grants it ended.
func (s *Search) Wait(most time.Duration) (over bool, sessions, grants int, err error) {
	patience := time.NewTimer(most)
	defer patience.Stop()
	select {
	case <-s.done:
		return true, s.sessions, s.grants, s.err
	case <-patience.C:
		return false, 0, 0, nil
	}
}

func (s *Searches) begin(search *Search) (*Search, error) {
	search.before, search.done = search.server.Now(), make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil, fmt.Errorf("beginning a search: %w", s.life.Err())
	}
	if len(s.waiting) >= maxSearches {
		return nil, errTooManySearches
	}
	s.waiting = append(s.waiting, search)
	if !s.running {
		s.running = true
		s.all.Go(s.run)
	}
	return search, nil
}

// run searches as long as a request waits.
func (s *Searches) run() {
	for {
		s.mu.Lock()
		wanted := s.waiting
		s.waiting, s.running = nil, len(wanted) > 0
		s.mu.Unlock()
		if len(wanted) == 0 {
			return
		}
		begun := time.Now()
		sessions, grants, err := searchAll(s.life, wanted)
		for _, search := range wanted {
			close(search.done)
		}
		fields := []zap.Field{
			zap.Int("searches", len(wanted)), zap.Int("sessions", sessions), zap.Int("grants", grants), zap.Duration("took", time.Since(begun)),
		}
		if err != nil {
			s.log().Warn("the search for sessions and persistent grants to end that are on no list is incomplete; end them again", append(fields, zap.Error(err))...)
			continue
		}
		s.log().Info("the search for sessions and persistent grants to end that are on no list is complete", fields...)
	}
}

// searchAll reads the store once for all searches, and returns what it has ended.
func searchAll(ctx context.Context, wanted []*Search) (sessions, grants int, err error) {
	server := wanted[len(wanted)-1].server // the newest configuration
	all := newWanted(wanted)
	ones := map[*Search]*session.Session{}
	ended, sessionsErr := server.Sessions.EndMatching(ctx, func(found *session.Session) bool {
		if search := all.forSession(found); search != nil {
			ones[search] = found
			return false
		}
		return len(all.forUser(found.User(), found.Begun())) > 0
	})
	for _, found := range ended {
		all.forUser(found.User(), found.Begun())[0].sessions++
	}
	errs := []error{sessionsErr}
	for search, found := range ones {
		n, err := server.EndSessionAndGrants(ctx, SignedIn{Session: found, User: found.User()}, "", "by the operator")
		if err == nil {
			search.sessions++
		}
		search.grants += n
		errs = append(errs, err)
	}
	if len(all.users)+len(all.methods) > 0 {
		// After the sessions, so that no code of theirs becomes a grant meanwhile.
		_, err := server.Grants.EndMatching(ctx, func(u session.User, begun time.Time) bool {
			of := all.forUser(u, begun)
			if len(of) > 0 {
				of[0].grants++
			}
			return len(of) > 0
		})
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	for _, search := range wanted {
		search.err = err
		sessions, grants = sessions+search.sessions, grants+search.grants
		if search.user != "" && search.sessions+search.grants > 0 {
			server.Audit.Record(Event{
				What: SessionEnded, User: session.User{Name: search.user},
				Why: fmt.Sprintf("by the operator: %d, and %d persistent grants, that were on no list", search.sessions, search.grants),
			})
		}
	}
	return sessions, grants, err
}

// wanted indexes all searches, so that the cost of each session does not depend on
// their number.
type wanted struct {
	users   map[string][]*Search // by folded name, or by subject
	methods map[string][]*Search // by the ID of a sign-in method
	ids     map[string][]*Search // by the length that every ID has
}

func newWanted(searches []*Search) wanted {
	w := wanted{map[string][]*Search{}, map[string][]*Search{}, map[string][]*Search{}}
	for _, search := range searches {
		for _, method := range search.methods {
			w.methods[method] = append(w.methods[method], search)
		}
		if search.user == "" && search.methods == nil {
			short := search.id[:min(len(search.id), len(session.Key{}.ID()))]
			w.ids[short] = append(w.ids[short], search)
			continue
		}
		if search.user == "" {
			continue
		}
		name := foldCase(search.user)
		w.users[name] = append(w.users[name], search)
		if name != search.user { // a subject is compared as it is
			w.users[search.user] = append(w.users[search.user], search)
		}
	}
	return w
}

// forUser returns the searches for a user.
func (w wanted) forUser(u session.User, begun time.Time) []*Search {
	var of []*Search
	for _, name := range []string{foldCase(u.Name), u.Subject} {
		for _, search := range w.users[name] {
			if HasName(search.user)(u) && begun.Before(search.before) {
				of = append(of, search)
			}
		}
	}
	for _, search := range w.methods[u.Signin] {
		if begun.Before(search.before) {
			of = append(of, search)
		}
	}
	return of
}

// forSession returns the search for a session; nil if there is none.
func (w wanted) forSession(found *session.Session) *Search {
	for _, search := range w.ids[found.ID()] {
		if strings.HasPrefix(found.Key().Whole(), search.id) {
			return search
		}
	}
	return nil
}
