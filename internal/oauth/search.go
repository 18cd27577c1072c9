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

// maxSearches bounds how many [Search]es wait.
const maxSearches = 10_000

// errTooManySearches is that of one more.
var errTooManySearches = errors.New("too many searches wait; do it again when the log says that the running one is over")

// Searches look through a whole store, in the background, for what an operator
// ends and no list has: it began under a version without lists, or the store has
// lost a list. One reads the store at a time, and what is asked for meanwhile waits
// for the next, which serves all that wait. They outlive a configuration.
type Searches struct {
	log  func() *zap.Logger
	life context.Context // ends with Close
	end  context.CancelFunc
	all  sync.WaitGroup

	mu      sync.Mutex
	running bool
	waiting []*Search
}

// A Search is for all that a user has, for one session, or for all of those who
// signed in by some ways.
type Search struct {
	server  *Server
	user    string    // a name or a subject
	methods []string  // IDs of sign-in methods
	id      string    // or the beginning of a session's ID
	before  time.Time // what a user has begun since then goes on

	done     chan struct{}
	sessions int
	grants   int
	err      error
}

// NewSearches logs to what log returns.
func NewSearches(log func() *zap.Logger) *Searches {
	s := &Searches{log: log}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Close stops the search that runs.
func (s *Searches) Close() {
	s.end()
	s.all.Wait()
}

// User begins a search for what a user has who is called by a name, or has it for
// the subject, and ends it.
func (s *Searches) User(server *Server, name string) (*Search, error) {
	return s.begin(&Search{server: server, user: name})
}

// Methods begins a search for what those have who signed in by ways with these IDs, and
// ends it.
func (s *Searches) Methods(server *Server, ids []string) (*Search, error) {
	return s.begin(&Search{server: server, methods: ids})
}

// Session begins a search for a session by the beginning of its ID, as
// [session.ErrSearch] asks for, and ends it with all that was given in it.
func (s *Searches) Session(server *Server, id string) (*Search, error) {
	return s.begin(&Search{server: server, id: id})
}

// Wait waits until the search is over, but not for long, and says whether it is:
// then how many sessions, and grants that outlive a session, it has ended.
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

// run searches for as long as somebody waits.
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
			s.log().Warn("not all sessions and lasting grants were looked through for those to end that are on no list; end them again", append(fields, zap.Error(err))...)
			continue
		}
		s.log().Info("all sessions and lasting grants were looked through for those to end that are on no list", fields...)
	}
}

// searchAll reads the store once for all that is wanted, and returns how much it
// has ended.
func searchAll(ctx context.Context, wanted []*Search) (sessions, grants int, err error) {
	server := wanted[len(wanted)-1].server // the newest configuration
	all := newWanted(wanted)
	ones := map[*Search]*session.Session{}
	ended, sessionsErr := server.Sessions.EndMatching(ctx, func(found *session.Session) bool {
		if search := all.one(found); search != nil {
			ones[search] = found
			return false
		}
		return len(all.of(found.User(), found.Begun())) > 0
	})
	for _, found := range ended {
		all.of(found.User(), found.Begun())[0].sessions++
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
			of := all.of(u, begun)
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
				Why: fmt.Sprintf("by the operator: %d, and %d lasting grants, that were on no list", search.sessions, search.grants),
			})
		}
	}
	return sessions, grants, err
}

// wanted is what is searched for, so that each session costs the same however much
// that is.
type wanted struct {
	users   map[string][]*Search // by folded name, or by subject
	methods map[string][]*Search // by the ID of a sign-in method
	ids     map[string][]*Search // by as much as every ID has
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
		name := folded(search.user)
		w.users[name] = append(w.users[name], search)
		if name != search.user { // a subject is compared as it is
			w.users[search.user] = append(w.users[search.user], search)
		}
	}
	return w
}

// of are the searches for a user who began something, or signed in as this one.
func (w wanted) of(u session.User, begun time.Time) []*Search {
	var of []*Search
	for _, name := range []string{folded(u.Name), u.Subject} {
		for _, search := range w.users[name] {
			if Called(search.user)(u) && begun.Before(search.before) {
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

// one is the search for a session, nil where there is none.
func (w wanted) one(found *session.Session) *Search {
	for _, search := range w.ids[found.ID()] {
		if strings.HasPrefix(found.Key().Whole(), search.id) {
			return search
		}
	}
	return nil
}
