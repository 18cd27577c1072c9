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

// The model tries all sequences of a number of steps with one family of refresh
// tokens: its owner and a thief refresh, answers are lost, masters fail over and
// return, time passes. The real server answers the requests.

// A family is the state after a sequence of steps.
type family struct {
	store  rewindable
	clock  int64
	owner  string // the token that the owner has
	thief  string // the token that a thief has; "": there is no thief
	stolen bool

	// These got an answer since the token was stolen.
	ownerWas, thiefWas bool

	older    []replaced // the former masters
	replaced int
	heard    bool // someone has the answer to the last rotation
	unseen   bool // something was rotated before a failover was noticed
	rested   bool // nothing happened since time passed
	copied   bool // nothing happened since a token was copied: steps without a copy come before
	many     bool // there were several requests at once
	ended    bool
}

// A replaced server is a former master, in the state at the failover.
type replaced struct {
	server
	apart bool // the new master misses a rotation whose answer was lost
}

// A step is one possible event. do reports whether the event is possible. A step with
// same leads to the same state as another step, so it ends its sequence. A sequence
// has at most one step with many, which means several requests at once.
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

// A model sends requests to the server of a world.
type model struct {
	*world
	as        *oauth.Client
	now       *pointer
	path      []string
	sequences int
}

// A pointer is the store of the current family.
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
			m.t.Errorf("it was not stolen, but it ended (%v):\n\t%s", refusal, strings.Join(m.path, "\n\t"))
		}
	}
	return "", false
}

// introspect reports whether a token is active. It uses a copy of the family's store,
// which is then dropped.
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

// tabs sends a request between the read and the write of another one.
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

// lateTab sends a request after the token of another request was used, too.
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

// failBack makes a former master the master again. The replica that replaced it never
// followed it. Two cases are left out, since they cannot be told from a theft: a
// rotation on the former master whose answer was lost, and which was repeated on the
// other server, so that two tokens have one number; and tokens for which a node took
// one server for the other.
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

// explore tries every possible next step, until the sequence is long enough.
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
			m.sequences++
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

// check tests the promises for a family, from its current state and without another
// fault.
func (m *model) check(f family) {
	switch {
	case f.ended:
	case !f.stolen:
		f.heard = false
		if m.owner(&f, nothingLost, true); !f.heard {
			m.t.Errorf("it was not stolen, but its owner cannot refresh:\n\t%s", strings.Join(m.path, "\n\t"))
		}
	case f.ownerWas && f.thiefWas:
		for name, ownerFirst := range map[string]bool{"the owner first": true, "the thief first": false} {
			f := f
			// The first refresh may repeat a refresh whose answer was lost.
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
	t.Logf("%d sequences", m.sequences)
}
