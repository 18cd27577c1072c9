package oauth_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// The model goes through all that can become of one family of refresh tokens in a
// number of steps: its owner and a thief refresh, answers are lost, masters fail
// over and come back, time passes. It is the real server that answers them.

// A family is where one of these ways has come to.
type family struct {
	store  rewindable
	clock  int64
	owner  string // the token that the owner has
	thief  string // and a thief; "": there is none
	stolen bool

	// Since it was stolen, who was answered.
	ownerWas, thiefWas bool

	older    []replaced // the masters before
	replaced int
	heard    bool // someone has the answer to the last rotation
	unseen   bool // something was rotated before a failover was noticed
	rested   bool // nothing happened since time passed
	copied   bool // nor since a token was copied: what needs none comes before
	many     bool // there were several requests at once
	ended    bool
}

// A replaced server is as it was when another one became the master.
type replaced struct {
	server
	apart bool // the other one misses a rotation of which nobody has the answer
}

// A step is one thing that can happen. It says whether it can at all. One that
// leads to the same as another ends a way, and of those that are several requests
// at once a way has one.
type step struct {
	name string
	do   func(m *model, f *family) bool
	same bool
	many bool
}

var steps = []step{
	{name: "the owner refreshes", do: func(m *model, f *family) bool { return m.owner(f, nothingLost, true) }},
	{name: "the owner refreshes; the store's answer is lost", do: func(m *model, f *family) bool { return m.owner(f, answerLost, true) }, same: true},
	{name: "the owner refreshes; the swap is lost", do: func(m *model, f *family) bool { return m.owner(f, swapLost, true) }, same: true},
	{name: "the owner refreshes; the node dies before it answers", do: func(m *model, f *family) bool { return m.owner(f, nothingLost, false) }},
	{name: "two tabs of the owner refresh at once; the first answer comes last", do: func(m *model, f *family) bool { return m.tabs(f, true) }, many: true},
	{name: "two tabs of the owner refresh at once; the second answer comes last", do: func(m *model, f *family) bool { return m.tabs(f, false) }, many: true},
	{name: "two tabs of the owner refresh at once; one goes on before the other is heard", do: func(m *model, f *family) bool { return m.lateTab(f) }, many: true},
	{name: "the owner refreshes in the middle of a failover", do: func(m *model, f *family) bool {
		f.store.between = func() { m.failOver(f, min(1, len(f.store.before))) }
		return m.owner(f, nothingLost, true)
	}, many: true},
	{name: "someone copies the owner's token", do: func(_ *model, f *family) bool {
		if f.stolen {
			return false
		}
		f.thief, f.stolen, f.copied = f.owner, true, true
		return true
	}},
	{name: "the thief refreshes", do: func(m *model, f *family) bool { return m.steals(f, true) }},
	{name: "the thief refreshes; the answer is lost", do: func(m *model, f *family) bool { return m.steals(f, false) }},
	{name: "a replica becomes the master that has it all", do: func(m *model, f *family) bool { return m.failOver(f, 0) }},
	{name: "a replica becomes the master that misses the last rotation", do: func(m *model, f *family) bool { return m.failOver(f, 1) }},
	{name: "a replica becomes the master that misses two rotations", do: func(m *model, f *family) bool { return m.failOver(f, 2) }},
	{name: "the master before is back, as it was", do: func(m *model, f *family) bool { return m.failBack(f) }},
	{name: "a minute passes", do: func(_ *model, f *family) bool { return f.pass(time.Minute) }},
}

// A model drives the server of a world.
type model struct {
	*world
	as   *oauth.Client
	now  *pointer
	path []string
	ways int
}

// A pointer is the store of the family that is looked at.
type pointer struct{ *rewindable }

func (f *family) pass(d time.Duration) bool {
	if f.rested || f.copied {
		return false
	}
	f.clock += int64(d)
	f.store.seen, f.rested = f.store.identity, true
	return true
}

// send presents a token.
func (m *model) send(f *family, token string, lose loss) (string, bool) {
	m.clock.Advance(start.Add(time.Duration(f.clock)).Sub(m.clock.Now()))
	live := m.introspect(f, token)
	undisturbed := lose == nothingLost && f.store.between == nil
	m.now.rewindable = &f.store
	f.rested, f.copied = false, false
	f.store.lose = lose
	swaps := f.store.swaps
	tokens, refusal := m.Refresh(context.Background(), oauth.RefreshRequest{Client: m.as, Token: token})
	f.store.lose, f.store.between = nothingLost, nil
	if f.store.swaps > swaps {
		f.heard = false
		f.unseen = f.unseen || f.store.seen != f.store.identity
	}
	if undisturbed && live != (refusal == nil) {
		m.t.Errorf("introspection said %t of a token, and its refresh %v:\n\t%s", live, refusal, strings.Join(m.path, "\n\t"))
	}
	if refusal == nil {
		return tokens.Refresh, true
	}
	if refusal.Kind == oauth.InvalidGrant {
		f.ended = true
		if !f.stolen {
			m.t.Errorf("nobody stole it, and it ended (%v):\n\t%s", refusal, strings.Join(m.path, "\n\t"))
		}
	}
	return "", false
}

// introspect says whether a token is active, by a store that is as that of the
// family and is not seen again.
func (m *model) introspect(f *family, token string) bool {
	store := f.store
	store.lose, store.between = nothingLost, nil
	m.now.rewindable = &store
	_, refusal := m.IntrospectRefresh(context.Background(), m.as, token)
	if store.swaps > f.store.swaps {
		m.t.Errorf("introspection has changed the grant:\n\t%s", strings.Join(m.path, "\n\t"))
	}
	return refusal == nil
}

func (m *model) owner(f *family, lose loss, arrives bool) bool {
	if next, ok := m.send(f, f.owner, lose); ok && arrives {
		f.owner, f.ownerWas, f.heard = next, f.stolen, true
	}
	return true
}

// tabs has one request between the reading and the writing of another one.
func (m *model) tabs(f *family, firstLast bool) bool {
	var second string
	token := f.owner
	f.store.between = func() { second, _ = m.send(f, token, nothingLost) }
	first, _ := m.send(f, token, nothingLost)
	if f.ended || first == "" || second == "" {
		return f.ended
	}
	f.owner, f.ownerWas, f.heard = second, f.stolen, true
	if firstLast {
		f.owner = first
	}
	return true
}

// lateTab has a request that comes once another one's token was used, too.
func (m *model) lateTab(f *family) bool {
	token := f.owner
	if next, ok := m.send(f, token, nothingLost); ok {
		m.send(f, next, nothingLost)
	}
	f.owner = token
	return f.ended || m.owner(f, nothingLost, true)
}

func (m *model) steals(f *family, arrives bool) bool {
	if !f.stolen {
		return false
	}
	if next, ok := m.send(f, f.thief, nothingLost); ok && arrives {
		f.thief, f.thiefWas, f.heard = next, true, true
	}
	return true
}

func (m *model) failOver(f *family, missed int) bool {
	if missed > len(f.store.before) || f.replaced == 2 || f.copied {
		return false
	}
	f.rested = false
	f.older = append(slices.Clip(f.older), replaced{f.store.server, missed > 0 && !f.heard})
	f.replaced++
	f.store.failOver(fmt.Sprint("server ", f.replaced), missed)
	return true
}

// failBack makes a server the master that was one before, which the replica that
// replaced it never followed. Left out is what nobody can tell from a theft: a
// rotation there of which nobody has the answer, and which was done once more at the
// other server, so that two tokens have one number; and tokens of which nodes took
// the one server for the other.
func (m *model) failBack(f *family) bool {
	last := len(f.older) - 1
	if last < 0 || f.older[last].apart || f.unseen || f.copied {
		return false
	}
	f.rested = false
	f.store.server, f.store.before = f.older[last].server, nil
	f.store.seen = f.store.identity
	f.older = f.older[:last]
	return true
}

// explore goes on with every step that can follow, until there were enough.
func (m *model) explore(from family, left int) {
	m.check(from)
	if left == 0 || from.ended || m.t.Failed() {
		return
	}
	for _, s := range steps {
		if s.many && from.many {
			continue
		}
		m.path = append(m.path, s.name)
		if f := from; s.do(m, &f) {
			m.ways++
			f.many = f.many || s.many
			if s.same {
				m.check(f)
			} else {
				m.explore(f, left-1)
			}
		}
		m.path = m.path[:len(m.path)-1]
	}
}

// check holds a family to what is promised of it, from where it has come to and
// without another fault.
func (m *model) check(f family) {
	switch {
	case f.ended:
	case !f.stolen:
		f.heard = false
		if m.owner(&f, nothingLost, true); !f.heard {
			m.t.Errorf("nobody stole it, and its owner cannot refresh:\n\t%s", strings.Join(m.path, "\n\t"))
		}
	case f.ownerWas && f.thiefWas:
		for name, ownerFirst := range map[string]bool{"the owner first": true, "the thief first": false} {
			f := f
			// The first refresh may be the second try of one whose answer was lost.
			for _, owner := range []bool{ownerFirst, !ownerFirst, ownerFirst, !ownerFirst} {
				if f.ended {
					break
				}
				f.pass(time.Minute)
				if owner {
					m.owner(&f, nothingLost, true)
				} else {
					m.steals(&f, true)
				}
			}
			if !f.ended {
				m.t.Errorf("both have used what they were given, %s, and it goes on:\n\t%s", name, strings.Join(m.path, "\n\t"))
			}
		}
	}
}

func TestClass14NoFaultEndsAFamilyAndNoTheftGoesUnnoticed(t *testing.T) {
	w := newWorld(t)
	as, key := *w.client("1"), strings.Repeat("k", keys.MinSharedKey)
	as.TokenAlg = keys.HS256 // which takes a part of the time of the others
	var err error
	if as.HS256Key, err = keys.NewSharedKey(key); err != nil {
		t.Fatal(err)
	}
	m := &model{world: w, as: &as, now: &pointer{newRewindable()}}
	w.store.Store = m.now
	w.restart()
	w.Store, w.Audit = m.now, nil
	_, in := w.signIn(ada)
	f := family{owner: w.offline(in).Refresh, store: *m.now.rewindable}
	depth := 5
	if testing.Short() {
		depth = 4
	}
	m.explore(f, depth)
	t.Logf("%d ways", m.ways)
}
