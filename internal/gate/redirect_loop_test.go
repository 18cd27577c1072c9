package gate

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestTheCauseOfALoopIsNamedAsFarAsItCanBeKnown(t *testing.T) {
	bound := attempt{Sent: true, Bound: true, Host: "game.example", Age: time.Second}
	for name, test := range map[string]struct {
		turn  attempt
		want  cause
		turns int
	}{
		"no cookie":                                {attempt{Host: "game.example"}, noCookies, 3},
		"no cookie, the same host by a proxy":      {attempt{Host: "game.example", Named: "Game.Example"}, noCookies, 3},
		"no cookie, another host by a proxy":       {attempt{Host: "game.example", Named: "www.example"}, otherHost, 3},
		"cookies of other gates alone":             {attempt{Host: "game.example", Neighbours: true}, otherHost, 3},
		"another cookie each time":                 {attempt{Host: "game.example", Sent: true, Neighbours: true}, otherHost, 7},
		"no cookie, and an hour ago":               {attempt{Host: "game.example", Age: 2 * time.Hour}, noCookies, 3},
		"too old at once":                          {but(bound, func(t *attempt) { t.Age = stateLifetime + time.Second }), wrongClock, 3},
		"from the future":                          {but(bound, func(t *attempt) { t.Age = -oauth.ClockLeeway - time.Second }), wrongClock, 3},
		"clocks that differ a little":              {but(bound, func(t *attempt) { t.Age = -time.Second }), notFound, 7},
		"a code that is not found":                 {bound, notFound, 7},
		"the same, while a proxy has its own name": {but(bound, func(t *attempt) { t.Named = "www.example" }), notFound, 7},
	} {
		if got, turns := test.turn.cause(), test.turn.tooMany(); got != test.want || turns != test.turns {
			t.Errorf("%s: cause %d at turn %d, want %d at turn %d", name, got, turns, test.want, test.turns)
		}
	}
}

func but(t attempt, change func(*attempt)) attempt {
	change(&t)
	return t
}

// logged has the gate's log kept.
func (f *fixture) logged() *observer.ObservedLogs {
	core, logs := observer.New(zap.WarnLevel)
	f.gate.Log = zap.New(core)
	return logs
}

// settings are those that the log names, a line each.
func settings(logs *observer.ObservedLogs) string {
	var named []string
	for _, line := range logs.All() {
		named = append(named, line.ContextMap()["setting"].(string))
	}
	return strings.Join(named, " ")
}

func TestALoopEndsInAPageThatNamesTheCauseAndALineThatNamesTheSetting(t *testing.T) {
	for name, test := range map[string]struct {
		each          func(f *fixture, b *browser) // before each callback
		headers       []string
		turns         int
		says, setting string
	}{
		"cookies are blocked": {
			func(_ *fixture, b *browser) { delete(b.cookies, siteOrigin) }, nil,
			3, "Allow cookies for this site", "redirect_uri",
		},
		"the callback is at another host": {
			func(_ *fixture, b *browser) { delete(b.cookies, siteOrigin) },
			[]string{"X-Forwarded-Host", "www.example, proxy.internal"},
			3, "The address that you used", "redirect_uri",
		},
		"only cookies of another port": {
			func(_ *fixture, b *browser) {
				b.cookies[siteOrigin] = map[string]string{"caddy_sso_gate_0123abcd": "x"}
			}, nil,
			3, "The address that you used", "redirect_uri",
		},
		"a clock that jumps ahead": {
			func(f *fixture, _ *browser) { f.clock.Advance(2 * time.Hour) }, nil,
			3, "A clock of this site", "the clock",
		},
		"codes that nobody finds": {
			func(f *fixture, _ *browser) { f.clock.Advance(2 * time.Minute) }, nil,
			7, "cannot find the sign-in that you just finished", "storage",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			logs := f.logged()
			b := f.browser()
			b.signIn(demo)
			location := b.open("/x?y").Header().Get("Location")
			for n := 1; ; n++ {
				callback := b.portal(location)
				test.each(f, b)
				w := b.do("GET", callback, with(navigation, test.headers...)...)
				if w.Code == http.StatusFound && n < test.turns {
					location = w.Header().Get("Location")
					if logs.Len() > 0 {
						t.Fatalf("turn %d is logged: %v", n, logs.All())
					}
					b.signIn(demo) // where that is over, too
					continue
				}
				b.want(w, http.StatusBadRequest)
				if body := w.Body.String(); n != test.turns || !strings.Contains(body, "Too many redirects") || !strings.Contains(body, test.says) || !strings.Contains(body, `href="`+siteOrigin+`/x?y"`) {
					t.Fatalf("turn %d: %s", n, body)
				}
				break
			}
			if got := settings(logs); got != test.setting {
				t.Errorf("the log names %q, want %q", got, test.setting)
			}
			f.untouched()
		})
	}
}

// Two tabs whose sign-ins end each other's sessions are no loop, nor are pages
// that lose one each.
func TestSessionsThatOthersReplaceAreNoLoop(t *testing.T) {
	for name, test := range map[string]struct {
		again func(*browser)
		page  func(int) string
	}{
		"another SSO session each time": {func(b *browser) { b.signIn(demo) }, func(int) string { return "/" }},
		"another page each time":        {func(*browser) {}, func(n int) string { return "/?tab=" + strconv.Itoa(n%2) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.browser()
			b.signIn(demo)
			for n := range 10 {
				w := b.open(test.page(n))
				b.want(w, http.StatusFound)
				b.want(b.open(b.portal(w.Header().Get("Location"))), http.StatusFound)
				b.keep(siteOrigin, f.gate.Sites[1].Cookie.Name, strings.Repeat("A", 43))
				test.again(b)
			}
		})
	}
}

// Nodes behind one address that share no store: the next never finds what the
// last has just stored.
func TestASessionThatIsLostAsSoonAsItBeganIsALoop(t *testing.T) {
	f := newFixture(t)
	logs := f.logged()
	b := f.browser()
	lose := func() { b.keep(siteOrigin, f.gate.Sites[1].Cookie.Name, strings.Repeat("A", 43)) }
	b.signIn(demo)
	round := func() {
		t.Helper()
		w := b.open("/x?y")
		b.want(w, http.StatusFound)
		b.want(b.open(b.portal(w.Header().Get("Location"))), http.StatusFound)
		lose()
	}
	for range 3 {
		round()
	}
	w := b.open("/x?y")
	b.want(w, http.StatusBadRequest)
	if body := w.Body.String(); !strings.Contains(body, "cannot find the sign-in that you just finished") || !strings.Contains(body, `href="`+siteOrigin+`/x?y"`) {
		t.Fatalf("the page: %s", body)
	}
	if got := settings(logs); got != "storage" {
		t.Errorf("the log names %q", got)
	}
	round() // trying again is possible
	f.untouched()
}

func TestSessionsThatEndAfterAWhileAreNoLoop(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(demo)
	for range 5 {
		w := b.open("/")
		b.want(w, http.StatusFound)
		w = b.open(b.portal(w.Header().Get("Location")))
		b.want(w, http.StatusFound)
		for _, c := range w.Result().Cookies() {
			if c.Name == f.gate.Sites[1].NotFound.Name && c.MaxAge != int(lossLifetime.Seconds()) {
				t.Errorf("losses are remembered for %d s", c.MaxAge)
			}
		}
		b.want(b.open("/"), http.StatusOK)
		delete(b.cookies[siteOrigin], f.gate.Sites[1].NotFound.Name) // its time is over
		b.keep(siteOrigin, f.gate.Sites[1].Cookie.Name, strings.Repeat("A", 43))
	}
}

func TestLoopsOfManyBrowsersAreALineAMinute(t *testing.T) {
	f := newFixture(t)
	logs := f.logged()
	loop := func() {
		b := f.browser()
		b.signIn(demo)
		location := b.open("/").Header().Get("Location")
		for location != "" {
			callback := b.portal(location)
			delete(b.cookies, siteOrigin)
			location = b.open(callback).Header().Get("Location")
		}
	}
	for range 3 {
		loop()
	}
	f.clock.Advance(time.Minute)
	loop()
	if got := logs.Len(); got != 2 {
		t.Fatalf("%d lines, want 2", got)
	}
	if n := logs.All()[1].ContextMap()["sign_ins"]; n != int64(3) {
		t.Errorf("the second stands for %v sign-ins, want 3", n)
	}
}

// Pages are served by a node that does not find the session, and callbacks by one
// that does.
func TestPagesAtAnotherNodeThanTheCallbackAreALoop(t *testing.T) {
	f := newFixture(t)
	logs := f.logged()
	b := f.browser()
	b.signIn(demo)
	name, found := f.gate.Sites[1].Cookie.Name, ""
	for n := 1; ; n++ {
		if found != "" {
			b.keep(siteOrigin, name, strings.Repeat("A", 43))
		}
		w := b.open("/x?y")
		if w.Code != http.StatusFound {
			b.want(w, http.StatusBadRequest)
			break
		}
		if n > 10 {
			t.Fatal("it goes on for ever")
		}
		if found != "" {
			b.keep(siteOrigin, name, found)
		}
		b.want(b.open(b.portal(w.Header().Get("Location"))), http.StatusFound)
		found = b.cookies[siteOrigin][name]
	}
	if got := settings(logs); got != "storage" {
		t.Errorf("the log names %q", got)
	}
}
