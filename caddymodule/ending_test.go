package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// onRedis is a world on a Redis, with persistent grants for client 2.
func onRedis(t *testing.T, s setup, args ...string) (*world, *redistest.Server) {
	t.Helper()
	server := redistest.Start(t, args...)
	w := newWorld(t)
	s.storage, s.global = "storage redis "+server.URL()+" "+redisKey, redeemers+s.global
	w.mustLoad(s)
	return w, server
}

var persistentFlow = redemption{"2", "", verifier, "/api/oauth2/auth", "/api/oauth2/token"}

// persistent is a refresh token of scope offline.
func (v *visitor) persistent() string {
	v.t.Helper()
	given := persistentFlow.redeemAtOnce(v, persistentFlow.code(v, "offline"), 1)
	if len(given) != 1 {
		v.t.Fatal("no tokens")
	}
	return given[0].Refresh
}

// wantOut wants a browser, and what it was given, to be of no use.
func (v *visitor) wantOut(refresh ...string) {
	v.t.Helper()
	if got := v.getOnce("http://" + v.site + "/"); got.StatusCode != http.StatusFound {
		v.t.Errorf("still signed in: %s", got.Status)
	}
	for _, token := range refresh {
		if got := persistentFlow.refresh(v, token); got.StatusCode != http.StatusBadRequest {
			v.t.Errorf("a refresh token counts: %s", got.Status)
		}
	}
}

// fill brings a Redis to its limit, and empty takes that back.
func fill(t *testing.T, server *redistest.Server) {
	t.Helper()
	server.MustCommand("CONFIG", "SET", "maxmemory-policy", "noeviction")
	server.MustCommand("CONFIG", "SET", "maxmemory", "1")
	if _, err := server.Command("SET", "more", "1"); err == nil {
		t.Fatal("the store is not full")
	}
}

func empty(server *redistest.Server) { server.MustCommand("CONFIG", "SET", "maxmemory", "0") }

// accountsOfOnesOwn is a backend that signs in anybody whose password is their name.
func accountsOfOnesOwn(t *testing.T) string {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Username, Password string }
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &asked) != nil || asked.Username != asked.Password {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error":"wrong"}`) //nolint:errcheck // the test sees it
			return
		}
		fmt.Fprintf(w, `{"user":{"subject":"17 %s","name":%q,"groups":["players"]}}`, asked.Username, asked.Username)
	}))
	t.Cleanup(backend.Close)
	return "\nsignin backend accounts {\nurl " + backend.URL + "\nsecret " + ownSecret + "\n}"
}

// A Redis that is not let search shows what an ending goes by.
func TestClass16EndingAUserNeedsNoSearchOfTheWholeStore(t *testing.T) {
	const noSearch = "~* &* +@all -scan -keys"
	for _, who := range []struct{ name, password string }{{"demo", "demo"}, {"zoe", "zoe"}} { // of the configuration, and not
		for by, end := range map[string]func(w *world, e adminapi.SessionEntry) (string, error){
			"the name": func(w *world, e adminapi.SessionEntry) (string, error) {
				return w.command("user", "end", strings.ToUpper(e.User))
			},
			"the subject": func(w *world, e adminapi.SessionEntry) (string, error) { return w.command("user", "end", e.Subject) },
			"all of the ID": func(w *world, e adminapi.SessionEntry) (string, error) {
				return w.command("session", "end", e.ID)
			},
			"the ID of a log and the user": func(w *world, e adminapi.SessionEntry) (string, error) {
				return w.command("session", "end", e.ID[:16], "--user", e.User)
			},
			"the ID of a log, at a node that knows it": func(w *world, e adminapi.SessionEntry) (string, error) {
				return w.command("session", "end", e.ID[:16])
			},
		} {
			t.Run(who.name+" by "+by, func(t *testing.T) {
				w, server := onRedis(t, setup{global: accountsOfOnesOwn(t)})
				v, other := w.visitor(), w.visitor()
				v.submit(v.get("http://"+w.site+"/"), who.name, who.password)
				refresh := v.persistent()
				mine := w.sessions()
				if len(mine) != 1 || mine[0].User != who.name {
					t.Fatalf("%+v", mine)
				}
				other.submit(other.get("http://"+w.site+"/"), "adam", "adam")
				server.MustCommand(strings.Fields("ACL SETUSER default " + noSearch)...)
				out, err := end(w, mine[0])
				// By a user, more is searched for; the answer says what was ended
				// without.
				if strings.HasPrefix(by, "the ID") || strings.HasPrefix(by, "all") {
					if err != nil || out != "1 ended\n1 persistent grants ended\n" {
						t.Errorf("%q, %v", out, err)
					}
				} else if err != nil && !strings.Contains(err.Error(), "1 sessions and 1 persistent grants were ended") {
					t.Errorf("%q, %v", out, err)
				}
				v.wantOut(refresh)
				if got := other.getOnce("http://" + w.site + "/"); got.body != "hello adam" {
					t.Errorf("another user: %s", got.Status)
				}
			})
		}
	}
}

// What a version without lists began is ended all the same, in the background.
func TestAUserIsEndedByNameOrSubjectAlsoWithoutLists(t *testing.T) {
	for _, by := range []string{"name", "subject"} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{global: redeemers})
			older, newer := w.visitor(), w.visitor()
			page := "http://" + w.site + "/"
			older.signIn(page)
			refresh := older.persistent()
			store, lists := w.running().opened.Load().State.Store, []string(nil)
			for _, prefix := range []string{"user:", "grants:"} {
				err := store.Scan(t.Context(), prefix, func(key string, _ []byte) error {
					lists = append(lists, key)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if len(lists) != 2 {
				t.Fatalf("%d lists", len(lists))
			}
			for _, list := range lists {
				if _, _, err := store.Take(t.Context(), list); err != nil {
					t.Fatal(err)
				}
			}
			newer.signIn(page)
			who := "Demo"
			if by == "subject" {
				who = w.sessions()[0].Subject
			}
			if out, err := w.command("user", "end", who); err != nil || !strings.HasSuffix(out, " ended\n") {
				t.Errorf("%q, %v", out, err)
			}
			newer.wantOut()
			eventually(t, "what is on no list has ended, too", func() bool { return len(w.sessions()) == 0 })
			eventually(t, "and the grants", func() bool { return persistentFlow.refresh(older, refresh).StatusCode == http.StatusBadRequest })
			older.wantOut()
		})
	}
}

// Another node began it, so this one does not know it, and Redis finds nothing by
// the beginning of a key.
func TestAnIDOfALogEndsASessionOfAnotherNodeInTheBackground(t *testing.T) {
	w, server := onRedis(t, setup{})
	store, err := redis.Open(server.URL(), redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	cache := session.NewCache(store, session.CacheOptions{})
	defer cache.Close()
	var begun *session.Session
	eventually(t, "the other node has begun a session", func() bool {
		_, begun, err = session.New(cache, session.Policy{}).Begin(t.Context(), session.SignIn{User: session.User{Subject: "x", Name: "zoe"}})
		return err == nil
	})
	for id, status := range map[string]int{"0123456789abcdef": http.StatusNotFound, begun.ID(): http.StatusOK} {
		if got := w.ask(http.MethodDelete, "/sso/sessions/"+id); got.StatusCode != status && got.StatusCode != http.StatusAccepted {
			t.Errorf("%s: %s: %s", id, got.Status, got.body)
		}
	}
	eventually(t, "it has ended", func() bool { return len(w.sessions()) == 0 })
}

// A store that is full takes no mark, but gives up what it holds: a user who is
// banned then is out, with all that outlives a session, also when it is done again.
func TestClass16ABanWorksInAStoreThatIsFull(t *testing.T) {
	for by, ban := range map[string]func(w *world, e adminapi.SessionEntry) error{
		"the admin API": func(w *world, _ adminapi.SessionEntry) error {
			w.ends("/sso/users/ann", 2, 4)
			w.ends("/sso/users/ann", 0, 0)
			return nil
		},
		"the commands": func(w *world, e adminapi.SessionEntry) error {
			if out, err := w.command("session", "end", e.ID); err != nil || out != "1 ended\n2 persistent grants ended\n" {
				return fmt.Errorf("%q, %w", out, err)
			}
			for _, want := range []string{"1 ended\n2 persistent grants ended\n", "0 ended\n"} {
				if out, err := w.command("user", "end", "ann"); err != nil || out != want {
					return fmt.Errorf("%q, %w", out, err)
				}
			}
			return nil
		},
		"the file of users": func(w *world, _ adminapi.SessionEntry) error {
			_, err := w.offline("user", "disable", "ann", "--file", w.dir+"/users.jsonl")
			if err != nil {
				return err
			}
			eventually(w.t, "ann has no session", func() bool { return len(w.sessions()) == 0 })
			return nil
		},
	} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t)
			server := redistest.Start(t)
			w.mustLoad(setup{storage: "storage redis " + server.URL() + " " + redisKey, global: redeemers, local: "users " + w.usersFile(ann)})
			var all []*visitor
			var refresh []string
			for range 2 {
				v := w.visitor()
				v.submit(v.get("http://"+w.site+"/"), "ann", "demo")
				all, refresh = append(all, v), append(refresh, v.persistent(), v.persistent())
			}
			first := w.sessions()[0]
			fill(t, server)
			if err := ban(w, first); err != nil {
				t.Error(err)
			}
			empty(server)
			for _, v := range all {
				v.wantOut(refresh...)
			}
		})
	}
}

// A user who presses a button twice gets no error.
func TestClass16SigningOutElsewhereWorksTwiceInAStoreThatIsFull(t *testing.T) {
	w, server := onRedis(t, setup{})
	here, there := w.visitor(), w.visitor()
	var refresh []string
	for _, v := range []*visitor{there, here} {
		v.signIn("http://" + w.site + "/")
		refresh = append(refresh, v.persistent())
	}
	fill(t, server)
	for i := range 2 {
		r := here.request(http.MethodPost, "http://"+w.portal+"/sso/sessions", url.Values{"end": {"others"}}.Encode())
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if got := here.send(r); got.StatusCode != http.StatusOK || got.Request.URL.Path != "/sso/sessions" {
			t.Errorf("time %d: %s at %s", i+1, got.Status, got.Request.URL)
		}
	}
	empty(server)
	there.wantOut(refresh...)
	if got := here.getOnce("http://" + w.site + "/"); got.body != "hello demo" {
		t.Errorf("here: %s", got.Status)
	}
}

// An answer that is not right says what has ended, and what has not.
func TestTheAnswerToABanSaysWhatIsLeft(t *testing.T) {
	w, server := onRedis(t, setup{})
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	refresh := v.persistent()
	server.MustCommand("ACL", "SETUSER", "default", "~*", "&*", "+@all", "-getdel")
	for _, path := range []string{"/sso/sessions/" + w.sessions()[0].ID, "/sso/users/demo"} {
		got := w.ask(http.MethodDelete, path)
		if got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, "1 persistent grants are left") || !strings.Contains(got.body, "repeat the command") {
			t.Errorf("%s: %s", got.Status, got.body)
		}
	}
	server.MustCommand("ACL", "SETUSER", "default", "+@all")
	eventually(t, "it can be done again", func() bool { return w.ask(http.MethodDelete, "/sso/users/demo").StatusCode == http.StatusOK })
	v.wantOut(refresh)
}

// A list that a newer release wrote is read by nobody here, and keeps nothing in
// that can be found without it.
func TestClass16ABanSearchesAlsoWhereAListCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: "record_format 2"})
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	store := w.running().opened.Load().State.Store
	var list string
	err := store.Scan(t.Context(), "U", func(key string, _ []byte) error { list = key; return nil })
	if err != nil || list == "" {
		t.Fatalf("the list %q, %v", list, err)
	}
	newer := []byte("\xa1\x00\x18\x63") // {0: 99}
	if err := store.Put(t.Context(), list, newer, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(http.MethodDelete, "/sso/users/demo"); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, "repeat the command") {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	eventually(t, "the session has ended", func() bool { return len(w.sessions()) == 0 })
	v.wantOut()
	if stored, _, err := store.Get(t.Context(), list); err != nil || string(stored) != string(newer) {
		t.Errorf("the list was touched: %q, %v", stored, err)
	}
}
