package caddymodule

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// redisWith is a storage with more options.
func redisWith(url, options string) setup {
	return setup{storage: "storage redis " + url + " {\nstorage_key 0123456789abcdef0123456789abcdef\n" + options + "\n}"}
}

// A reload that changes the prefix alone goes to another store.
func TestPortalsWithPrefixesOfTheirOwnShareADatabase(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t)
	t.Setenv("SSO_TEST_PREFIX", "second:")
	page := "http://" + w.site + "/"
	w.mustLoad(redisWith(server.URL(), ""))
	v := w.visitor()
	v.signIn(page)
	w.mustLoad(redisWith(server.URL(), "key_prefix {env.SSO_TEST_PREFIX}"))
	if got := v.getOnce(page); got.StatusCode != http.StatusFound {
		t.Errorf("signed in to the other portal: %s: %s", got.Status, got.body)
	}
	other := w.visitor()
	other.signIn(page)
	w.mustLoad(redisWith(server.URL(), "key_prefix sso:"))
	if got := v.getOnce(page); got.body != "hello demo" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	reply := server.MustCommand("KEYS", "*")
	names, err := reply.AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, name := range names {
		prefix, _, _ := strings.Cut(name, ":")
		count[prefix]++
	}
	if len(count) != 2 || count["sso"] == 0 || count["second"] == 0 {
		t.Error(count)
	}
}

func TestASignInOutlivesAFailoverBySentinel(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	second.Follow(first)
	sentinels := redistest.StartSentinels(t, first, 1)
	w := newWorld(t)
	w.mustLoad(redisWith(sentinels.URL(), "revoke_wait 1 500ms"))
	page := "http://" + w.site + "/"
	v := w.visitor()
	v.signIn(page)
	sentinels.Failover(t)
	eventually(t, "the new master is used", func() bool {
		out, err := w.command("storage", "status")
		_, port, _ := strings.Cut(second.Addr(), ":")
		return err == nil && strings.Contains(out, ":"+port)
	})
	if got := v.getOnce(page); got.body != "hello demo" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

func TestWhatCannotBeRightOfRedisIsRefusedAtLoad(t *testing.T) {
	t.Setenv("SSO_TEST_URL", "redis://u:hunter2@localhost:99999")
	for _, c := range []struct{ name, url, options, want string }{
		{"an address that is only known then", "{env.SSO_TEST_URL}", "", "ports are 1 to 65535"},
		{"a prefix with a space", "redis://localhost", "key_prefix \"a b\"", "prefix"},
		{"a prefix that leaves no room", "redis://localhost", "key_prefix " + strings.Repeat("a", 65), "at most 64"},
		{"a CA that is not there", "rediss://localhost", "tls_ca /nowhere", "/nowhere"},
		{"a CA without TLS", "redis://localhost", "tls_ca /nowhere", "rediss://"},
	} {
		w := newWorld(t)
		err := w.load(redisWith(c.url, c.options))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAnEndingThatNoReplicaConfirmedIsInTheLogOnceAMinute(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t)
	s := redisWith(server.URL(), "revoke_wait 1 1ms")
	s.options = "log {\noutput file DIR/caddy.log\n}"
	w.mustLoad(s)
	for range 3 {
		v := w.visitor()
		v.signIn("http://" + w.site + "/")
		if got := w.ask(http.MethodDelete, "/sso/users/demo"); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", got.Status, got.body)
		}
		if got := v.getOnce("http://" + w.site + "/"); got.StatusCode != http.StatusFound {
			t.Errorf("still signed in: %s", got.Status)
		}
	}
	log, err := os.ReadFile(w.dir + "/caddy.log")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "too few replicas confirmed"); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestTheStatusOfTheStorageIsForPeopleAndPrograms(t *testing.T) {
	server := redistest.Start(t)
	for _, c := range []struct {
		engine, storage string
		want            []string
	}{
		{"memory", "storage memory {\ncapacity 64\n}", []string{"engine:", "memory", "of at most 64"}},
		{"file", "storage file DIR/sso.db", []string{"file", "DIR/sso.db", "MiB"}},
		{"redis", "storage redis " + server.URL() + " " + redisKey, []string{"redis", "sso:", "single", server.Addr(), "master", "latency", "MiB", "noeviction", "none", "this node", "interruptions:", "requests served unchecked:", "requests that waited without success:", "to be checked:"}},
	} {
		t.Run(c.engine, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{storage: c.storage})
			var out string
			eventually(t, "there is an answer", func() bool {
				var err error
				out, err = w.command("storage", "status")
				return err == nil
			})
			for _, want := range c.want {
				if want = strings.ReplaceAll(want, "DIR", w.dir); !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			var told map[string]any
			got := w.ask(http.MethodGet, "/sso/storage")
			if err := json.Unmarshal([]byte(got.body), &told); err != nil || told["engine"] != c.engine || told[c.engine] == nil {
				t.Errorf("%v: %s", err, got.body)
			}
			if got := w.ask(http.MethodPost, "/sso/storage"); got.StatusCode != http.StatusMethodNotAllowed {
				t.Error(got.Status)
			}
		})
	}
}

func TestTheStatusOfAStorageThatIsAwayIsAnError(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t)
	w.mustLoad(redisWith("redis://default:hunter2@"+server.Addr(), ""))
	server.Stop()
	eventually(t, "it says so", func() bool {
		out, err := w.command("storage", "status")
		if strings.Contains(out, "hunter2") {
			t.Error(out)
		}
		return err != nil && strings.Contains(err.Error(), "no server answers as master") && !strings.Contains(err.Error(), "hunter2")
	})
	for _, args := range [][]string{{"storage", "statsu"}, {"storage", "status", "now"}} {
		if out, err := w.offline(args...); err == nil {
			t.Errorf("%v is taken: %s", args, out)
		}
	}
}
