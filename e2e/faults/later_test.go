package faults

import (
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// longer is beyond the ten seconds in which a refresh token may come twice.
const longer = 11 * time.Second

// A client whose refresh had no answer tries again, whenever it likes: its token
// counts until it has used the next one.
func TestARefreshWithoutAnAnswerIsTriedAgainMuchLater(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct{ begin, end func(*testing.T, *scene) }{
		"since its node was killed":           {nodeKilled, nodeBack},
		"since the answer of Redis was lost":  {become(Mutes), become(Passes)},
		"since Redis answered when it was on": {become(Drags), become(Passes)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, one)
			s.inFlight(t, func() { f.begin(t, s) })
			time.Sleep(longer)
			f.end(t, s)
			for _, family := range s.families {
				a := new(Answers)
				harness.Eventually(t, "the client gets an answer", func() bool {
					a = new(Answers)
					s.refresh(t, family, a)
					return a.kinds[TryAgain]+a.kinds[NoAnswer] == 0
				})
				a.only(t, refresh, GoesOn)
			}
		})
	}
}

// inFlight has every client refresh all the time while something begins, until
// there was no answer.
func (s *scene) inFlight(t *testing.T, begin func()) {
	t.Helper()
	var all sync.WaitGroup
	for _, f := range s.families {
		all.Go(func() {
			for {
				f.node = 0 // the next is at the other one
				a := new(Answers)
				s.refresh(t, f, a)
				if a.kinds[GoesOn] == 0 {
					return
				}
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	begin()
	all.Wait()
}

// Redis comes back without anything, and a node restarts while the other one goes
// on. Everybody has to sign in again, and can: at both nodes, and across them.
func TestAStoreThatComesBackEmptyLetsEverybodySignInAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(t *testing.T) *store {
		t.Helper()
		redis := redistest.Start(t)
		return &store{redis: redis, url: redis.URL()}
	})
	s.redis.Kill()
	s.redis.Restart()
	s.Nodes[1].Restart()

	for i, u := range append(newcomers, harness.Demo, harness.Admin) {
		for node := range 2 {
			browser := harness.NewClient(t)
			var page *harness.Response
			harness.Eventually(t, "a user signs in", func() bool {
				s.Lead(browser, node)
				form, err := browser.Open(s.Gate + "/").Form("password")
				if err != nil {
					return false
				}
				form.Values.Set("username", u.Name)
				form.Values.Set("password", u.Password)
				s.Lead(browser, (node+i)%2)
				page, err = browser.Submit(form)
				return err == nil && page.Status != http.StatusServiceUnavailable
			})
			if page.Status != http.StatusOK || page.URL.String() != s.Gate+"/" {
				t.Errorf("a sign-in that began at node %d ended at %s with %d", node, page.URL, page.Status)
			}
			f := s.family(t)
			for other := range 2 {
				s.Lead(f.client, other)
				a := new(Answers)
				s.bearer(f, a)
				a.only(t, tokens, GoesOn)
			}
		}
	}
}

// The disk is full that everything of a node is on. A signed-in user stays signed in, also over a
// reload and a restart.
func TestAFullDiskSignsNobodyOutOverAReloadAndARestart(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	c.Storage = "file " + filepath.Join(dir, "sso.db")
	server, err := harness.Launch(t, c.String(), dir)
	if err != nil {
		t.Fatal(err)
	}
	browser := harness.NewClient(t)
	browser.SignIn(c.Gate+"/", harness.Demo)
	undo := fill(t, dir)
	for range 4 {
		if err := server.TryReload(c.String() + "# again\n"); err != nil {
			t.Error(err)
		}
		if status := browser.Fetch(c.Gate + "/").Status; status != http.StatusOK {
			t.Errorf("after a reload: %d", status)
		}
		server.Stop()
		if err := server.Up(); err != nil {
			t.Fatal(err)
		}
		if status := browser.Fetch(c.Gate + "/").Status; status != http.StatusOK {
			t.Errorf("after a restart: %d", status)
		}
	}
	undo()
	harness.Eventually(t, "a new user signs in", func() bool {
		page, err := harness.NewClient(t).TrySignIn(c.Gate+"/", harness.Admin)
		return err == nil && page.Status == http.StatusOK
	})
}
