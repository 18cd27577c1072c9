package faults

import (
	"os"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// lasts is how long a fault lasts; `make faults` gives it longer, and has one at
// a time, since it prints how long answers took.
func lasts(t *testing.T) (d time.Duration, whole bool) {
	d, err := time.ParseDuration(os.Getenv("SSO_FAULT"))
	if err != nil {
		return 3 * time.Second, false
	}
	t.Logf("faults last %s", d)
	return d, true
}

// A fault is a failure of the store, and what users may see of it.
type fault struct {
	name       string // as docs/operating.md says it
	on         func(*testing.T) *store
	begin, end func(*testing.T, *scene)

	// may are the answers that users may get. A known session and a known token
	// get the same; who has none gets none in, always.
	may map[who][]Kind

	slow  bool // it is for make faults alone
	soaks bool // it may happen in a soak
}

var (
	nobodyNotices = map[who][]Kind{
		known: {GoesOn}, unknown: {GoesOn}, newcomer: {GoesOn}, refresh: {GoesOn}, revoked: {SignedOut},
	}
	onlyWritesWait = map[who][]Kind{
		known: {GoesOn}, unknown: {GoesOn}, newcomer: {GoesOn, TryAgain}, refresh: {GoesOn, TryAgain}, revoked: {SignedOut},
	}
	onlyWhoIsKnownGoesOn = map[who][]Kind{
		known: {GoesOn}, unknown: {TryAgain}, newcomer: {TryAgain}, refresh: {TryAgain}, revoked: {SignedOut, TryAgain},
	}
	whoIsKnownGoesOn = map[who][]Kind{
		known: {GoesOn}, unknown: {GoesOn, TryAgain}, newcomer: {GoesOn, TryAgain}, refresh: {GoesOn, TryAgain}, revoked: {SignedOut, TryAgain},
	}
	// A replica that takes over may not have the last sign-ins yet.
	lastSignInsAreLost = map[who][]Kind{
		known: {GoesOn}, unknown: {GoesOn, TryAgain}, newcomer: {GoesOn, TryAgain, SignedOut}, refresh: {GoesOn, TryAgain}, revoked: {SignedOut, TryAgain},
	}
)

var faults = []fault{
	{name: "Redis is killed, and comes back", on: one, begin: killed, end: restarted, may: onlyWhoIsKnownGoesOn, soaks: true},
	{name: "Redis hangs", on: one, begin: frozen, end: thawed, may: onlyWhoIsKnownGoesOn, soaks: true},
	{name: "Redis is busy with a script (`BUSY`)", on: one, begin: busy, end: scriptKilled, may: whoIsKnownGoesOn, soaks: true},
	{name: "Redis loads its data (`LOADING`)", on: one, begin: loading, end: loaded, may: whoIsKnownGoesOn},
	{name: "Redis is a replica (`READONLY`)", on: one, begin: demoted, end: promoted, may: whoIsKnownGoesOn},
	{name: "Redis has no memory left (`OOM`)", on: one, begin: full, end: emptied, may: onlyWritesWait, soaks: true},
	{name: "Redis takes no more clients (`maxclients`)", on: one, begin: crowded, end: undone, may: onlyWhoIsKnownGoesOn, soaks: true},
	{name: "all connections die once", on: one, begin: disconnected, end: nothing, may: whoIsKnownGoesOn, soaks: true},

	{name: "connections are closed as soon as they are open", on: one, begin: become(Closes), end: become(Passes), may: onlyWhoIsKnownGoesOn, soaks: true},
	{name: "nothing that is sent arrives", on: one, begin: become(Swallows), end: become(Passes), may: onlyWhoIsKnownGoesOn, soaks: true},
	{name: "answers of Redis are lost", on: one, begin: become(Mutes), end: become(Passes), may: onlyWhoIsKnownGoesOn, soaks: true},
	{name: "what is sent arrives up to 3 seconds late", on: one, begin: become(Trembles), end: become(Passes), may: whoIsKnownGoesOn, soaks: true},
	{name: "what is sent arrives 300 milliseconds late", on: one, begin: become(Lags), end: become(Passes), may: whoIsKnownGoesOn, soaks: true},
	{name: "what is sent arrives 1.5 seconds late", on: one, begin: become(Drags), end: become(Passes), may: whoIsKnownGoesOn, slow: true},

	{name: "Sentinel fails over, as planned", on: watched, begin: failover, end: nothing, may: lastSignInsAreLost},
	{name: "a master that Sentinel watches is killed", on: watched, begin: killed, end: nothing, may: lastSignInsAreLost},
	{name: "a master is killed whose replica is 300 milliseconds behind", on: behind, begin: killed, end: replicaPromoted, may: lastSignInsAreLost},
	{name: "a master of a cluster is killed, and comes back", on: cluster, begin: killed, end: restarted, may: whoIsKnownGoesOn},
	{name: "a master of a cluster is killed, and its replica takes over", on: covered, begin: killed, end: nothing, may: lastSignInsAreLost, slow: true},

	{name: "the disk of `storage file` is full", on: onFullDisk, begin: diskFull, end: undone, may: onlyWritesWait},

	{name: "another node is killed", on: one, begin: nodeKilled, end: nodeBack, may: map[who][]Kind{
		known: {GoesOn}, unknown: {GoesOn}, newcomer: {GoesOn}, refresh: {GoesOn, NoAnswer}, revoked: {SignedOut, NoAnswer},
	}},
}

// Whatever befalls the store: anyone who a node knows goes on, without ever waiting
// until the store gives up; anyone who it does not know keeps their cookie, and the
// client its refresh token; anyone who signed out stays out, and nobody else gets in.
func TestAFaultSignsNobodyOutAndLetsNobodyIn(t *testing.T) {
	d, whole := lasts(t)
	for _, f := range faults {
		if f.slow && !whole {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			if !whole {
				t.Parallel()
			}
			f.test(t, d, whole)
		})
	}
}

func (f fault) test(t *testing.T, d time.Duration, whole bool) {
	s := newScene(t, f.on)
	calm := time.Second
	if whole {
		calm = d
	}
	quiet := s.run(t, calm, nothing)
	for w, a := range quiet.answers {
		a.only(t, w, kinds(nobodyNotices, w)...)
	}

	for _, browser := range s.unknown {
		s.Lead(browser, 0)
	}
	s.signOut(t)
	during := s.run(t, d, f.begin)
	f.end(t, s)
	for w, a := range during.answers {
		a.only(t, w, kinds(f.may, w)...)
	}
	if n := during.counts.TimedOut; n > 0 {
		t.Errorf("%d uses of known sessions and tokens waited until the store gave up", n)
	}
	// Each is a session and a site session, or a token.
	if n, most := during.counts.Waited, 3*people*max(during.counts.Interruptions, 1); n > most {
		t.Errorf("%d uses of known sessions and tokens waited for the store in vain, in %d interruptions; want at most %d", n, during.counts.Interruptions, most)
	}
	during.against(t, quiet, f.name)
	s.wantAsBefore(t)
}

// kinds are the answers that someone may get.
func kinds(may map[who][]Kind, w who) []Kind {
	switch w {
	case tokens:
		return may[known]
	case anonymous:
		return []Kind{SignedOut}
	}
	return may[w]
}

// wantAsBefore wants everybody to have what they had, once the fault is over.
func (s *scene) wantAsBefore(t *testing.T) {
	t.Helper()
	// settled waits for an answer that says more than to try again.
	settled := func(w who, want Kind, ask func(*Answers)) {
		t.Helper()
		var kind Kind
		harness.Eventually(t, string(w)+" gets an answer", func() bool {
			a := new(Answers)
			ask(a)
			kind = Kind("")
			for k := range a.kinds {
				kind = k
			}
			return kind != TryAgain && kind != NoAnswer
		})
		if kind != want {
			t.Errorf("%s, afterwards: %s; want %s", w, kind, want)
		}
	}
	for node := range s.Nodes {
		for _, browser := range append(s.known, s.unknown...) {
			s.Lead(browser, node)
			settled(unknown, GoesOn, func(a *Answers) { s.fetch(browser, a) })
		}
	}
	for _, thief := range s.thieves {
		if !s.signedOut {
			break
		}
		settled(revoked, SignedOut, func(a *Answers) { s.fetch(thief, a) })
	}
	for _, u := range newcomers {
		settled(newcomer, GoesOn, func(a *Answers) { s.signIn(t, u, a) })
	}
	for _, f := range s.families {
		settled(refresh, GoesOn, func(a *Answers) { s.refresh(t, f, a) })
	}
}
