package oauth_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// unlisted removes the lists of a user, as if an old release had begun the sessions and grants.
func (w *world) unlisted(subject string) {
	w.t.Helper()
	for _, list := range []string{"user", "grants"} {
		if _, _, err := w.store.Take(w.t.Context(), fmt.Sprintf("%s:%x", list, sha256.Sum256([]byte(subject)))); err != nil {
			w.t.Fatal(err)
		}
	}
}

func newSearches(t *testing.T) (*oauth.Searches, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.InfoLevel)
	searches := oauth.NewSearches(func() *zap.Logger { return zap.New(core) })
	t.Cleanup(searches.Close)
	return searches, logs
}

func TestASearchEndsUnlistedSessionsAndGrantsThatBeganBefore(t *testing.T) {
	w, c := newCrippled(t)
	_, old := w.signIn(ada)
	w.offline(old)
	w.unlisted(ada.Subject)
	other := session.User{Subject: "other", Name: "adam"}
	w.signIn(other)
	searches, logs := newSearches(t)
	if sessions, grants, err := w.EndByName(t.Context(), "ada"); sessions+grants != 0 || err != nil {
		t.Fatal("it is on a list:", sessions, grants, err)
	}
	w.clock.Advance(time.Second)
	var since *oauth.Tokens
	c.scans = func(prefix string) { // the user signs in again before the search reads the session
		if since != nil {
			return
		}
		w.clock.Advance(2 * time.Second)
		_, in := w.signIn(ada)
		since = w.offline(in)
	}
	search, err := searches.User(w.Server, "ADA")
	if err != nil {
		t.Fatal(err)
	}
	if over, sessions, grants, err := search.Wait(time.Minute); !over || sessions != 1 || grants != 1 || err != nil {
		t.Errorf("%v: %d sessions and %d grants, %v", over, sessions, grants, err)
	}
	if w.live(ada.Subject) != 1 || w.live(other.Subject) != 1 {
		t.Errorf("%d and %d sessions are left, not 1 and 1", w.live(ada.Subject), w.live(other.Subject))
	}
	w.mustRefresh(since.Refresh)
	for end := time.Now().Add(time.Minute); logs.Len() == 0 && time.Now().Before(end); { // the line follows the result
		time.Sleep(time.Millisecond)
	}
	lines := logs.TakeAll()
	if len(lines) != 1 || lines[0].ContextMap()["sessions"] != int64(1) || lines[0].ContextMap()["grants"] != int64(1) {
		t.Errorf("%v", lines)
	}
	if n := w.audit.FilterFieldKey("why").FilterMessage(string(oauth.SessionEnded)).Len(); n != 1 {
		t.Errorf("%d audit lines", n)
	}
}

// One search reads the store at a time, for all waiting requests.
func TestSearchesThatWaitShareOneReadOfTheStore(t *testing.T) {
	w, c := newCrippled(t)
	searches, logs := newSearches(t)
	var running, most, reads atomic.Int32
	began, proceed := make(chan struct{}), make(chan struct{})
	c.scans = func(prefix string) {
		if prefix != "session:" {
			return
		}
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		if reads.Add(1) == 1 {
			close(began)
			<-proceed
		}
	}
	users := make([]session.User, 50)
	for i := range users {
		users[i] = session.User{Subject: fmt.Sprint("s", i), Name: fmt.Sprint("n", i)}
		w.signIn(users[i])
		w.unlisted(users[i].Subject)
	}
	_, one := w.signIn(ada)
	w.clock.Advance(time.Second)
	var all []*oauth.Search
	begin := func(search *oauth.Search, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, search)
	}
	begin(searches.User(w.Server, "nobody"))
	<-began
	for i, u := range users {
		begin(searches.User(w.Server, []string{u.Name, u.Subject}[i%2]))
	}
	begin(searches.Session(w.Server, one.Session.ID()))
	if over, _, _, _ := all[1].Wait(0); over {
		t.Error("a search has ended that had to wait")
	}
	close(proceed)
	for i, search := range all {
		over, sessions, _, err := search.Wait(time.Minute)
		if want := min(i, 1); !over || sessions != want || err != nil {
			t.Errorf("search %d: %v, %d, %v", i, over, sessions, err)
		}
	}
	until(t, "both runs are logged", func() bool { return logs.Len() == 2 }) // after those who wait have their answer
	if reads.Load() != 2 || most.Load() != 1 || logs.Len() != 2 {
		t.Errorf("%d reads, %d at a time, %d lines", reads.Load(), most.Load(), logs.Len())
	}
	for _, u := range append(users, ada) {
		if w.live(u.Subject) != 0 {
			t.Errorf("%s goes on", u.Name)
		}
	}
}

func TestASearchThatFailsSaysSo(t *testing.T) {
	w, _ := newCrippled(t)
	searches, logs := newSearches(t)
	search, err := searches.User(w.Server, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if over, _, _, err := search.Wait(time.Minute); !over || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("%v, %v", over, err)
	}
	searches.Close()
	if logs.FilterLevelExact(zapcore.WarnLevel).Len() != 1 {
		t.Errorf("%v", logs.All())
	}
	if _, err := searches.User(w.Server, "ada"); err == nil {
		t.Error("a search begins over a store that is closed")
	}
}
