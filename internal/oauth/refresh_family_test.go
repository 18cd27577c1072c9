package oauth_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// opened returns a refresh token without its seal.
func (w *world) opened(token string) string {
	w.t.Helper()
	plain, err := w.Keys.Unseal(w.t.Context(), "refresh token", token)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(plain)
}

// wantReuse presents a token, which must end its grant.
func (w *world) wantReuse(token string) {
	w.t.Helper()
	_, refusal := w.refresh(token, nil)
	wantKind(w.t, refusal, oauth.InvalidGrant)
	if n := w.audit.FilterMessage(string(oauth.RefreshReused)).Len(); n != 1 {
		w.t.Errorf("%d reuses in the audit log", n)
	}
	if n := w.audit.FilterMessage(string(oauth.GrantEnded)).Len(); n != 1 {
		w.t.Errorf("%d ends of grants in the audit log", n)
	}
}

func TestAClientWithoutAnAnswerGetsTheSameSuccessorUntilItIsUsed(t *testing.T) {
	for name, lost := range map[string]bool{"the client's is lost": false, "the store's is lost, too": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			store := w.onRewindable()
			_, in := w.signIn(ada)
			first := w.offline(in)
			if lost {
				store.lose = answerLost
				_, refusal := w.refresh(first.Refresh, nil)
				wantKind(t, refusal, oauth.Internal)
			}
			second := w.mustRefresh(first.Refresh)
			for range 3 {
				w.clock.Advance(20 * time.Hour)
				if again := w.mustRefresh(first.Refresh); w.opened(again.Refresh) != w.opened(second.Refresh) {
					t.Error("it is another successor")
				}
			}
			w.clock.Advance(time.Hour)
			third := w.mustRefresh(second.Refresh)
			// The request of another tab arrives a moment later.
			if late := w.mustRefresh(first.Refresh); w.opened(late.Refresh) != w.opened(third.Refresh) {
				t.Error("it is not what became of the successor")
			}
			w.clock.Advance(oauth.RefreshGrace + time.Second)
			w.wantReuse(first.Refresh)
			_, refusal := w.refresh(third.Refresh, nil)
			wantKind(t, refusal, oauth.InvalidGrant)
		})
	}
}

// A thief who uses a token of the owner looks like an owner whose answer was lost.
// Then both continue, each with a different sealed copy.
func TestClass14TwoHoldersOfTheSameTokensEndTheFamily(t *testing.T) {
	for name, between := range map[string]time.Duration{"within the grace": time.Second, "later": time.Hour} {
		for who, ownerFirst := range map[string]bool{"the owner first": true, "the thief first": false} {
			t.Run(name+", "+who, func(t *testing.T) {
				w := newWorld(t)
				_, in := w.signIn(ada)
				stolen := w.offline(in).Refresh
				owner := w.mustRefresh(stolen).Refresh
				w.clock.Advance(between)
				thief := w.mustRefresh(stolen).Refresh
				w.clock.Advance(time.Hour)
				first, second := owner, thief
				if !ownerFirst {
					first, second = thief, owner
				}
				last := w.mustRefresh(first)
				w.clock.Advance(oauth.RefreshGrace + time.Second)
				w.wantReuse(second)
				_, refusal := w.VerifyAccess(t.Context(), last.Access)
				wantKind(t, refusal, oauth.InvalidToken)
			})
		}
	}
}

// lagging returns a world whose current master has lost the last rotations of a family.
func lagging(t *testing.T, missed int) (w *world, store *rewindable, tokens []string) {
	w = newWorld(t)
	store = w.onRewindable()
	_, in := w.signIn(ada)
	tokens = []string{w.offline(in).Refresh}
	for range 4 {
		tokens = append(tokens, w.mustRefresh(tokens[len(tokens)-1]).Refresh)
	}
	w.clock.Advance(time.Hour)
	store.failOver("second", missed)
	return w, store, tokens
}

func TestATokenThatAFailoverLostIsAcceptedOnce(t *testing.T) {
	for _, missed := range []int{1, 2, 4} {
		t.Run(fmt.Sprint("missing ", missed), func(t *testing.T) {
			w, store, tokens := lagging(t, missed)
			store.lose = answerLost // and so is the answer to this
			_, refusal := w.refresh(tokens[4], nil)
			wantKind(t, refusal, oauth.Internal)
			if n := w.audit.FilterMessage(string(oauth.RefreshAhead)).Len(); n != 1 {
				t.Errorf("%d events of a token that the store did not know", n)
			}
			w.clock.Advance(time.Hour)
			next := w.mustRefresh(tokens[4])
			if n := w.audit.FilterMessage(string(oauth.RefreshAhead)).Len(); n != 1 {
				t.Errorf("the store did not know it %d times", n)
			}
			w.clock.Advance(time.Hour)
			w.mustRefresh(next.Refresh)
			w.clock.Advance(time.Hour)
			w.wantReuse(tokens[4])
		})
	}
}

func TestOneOfTwoTokensThatAFailoverLostIsAccepted(t *testing.T) {
	t.Run("the older one first", func(t *testing.T) {
		w, _, tokens := lagging(t, 3)
		w.mustRefresh(tokens[3])
		w.clock.Advance(time.Hour)
		w.wantReuse(tokens[4]) // it has the number of the successor
	})
	t.Run("the newer one first", func(t *testing.T) {
		w, _, tokens := lagging(t, 3)
		w.mustRefresh(tokens[4])
		w.wantReuse(tokens[3])
	})
	t.Run("the same at two nodes at once", func(t *testing.T) {
		w, store, tokens := lagging(t, 2)
		var other *oauth.Tokens
		store.between = func() { other = w.mustRefresh(tokens[4]) }
		if one := w.mustRefresh(tokens[4]); w.opened(one.Refresh) != w.opened(other.Refresh) {
			t.Error("they got two successors")
		}
	})
}

func TestAServerThatReturnsIsAnotherStore(t *testing.T) {
	w := newWorld(t)
	store := w.onRewindable()
	_, in := w.signIn(ada)
	tokens := w.mustRefresh(w.offline(in).Refresh)
	first := store.server
	store.failOver("second", 0)
	store.seen = "second"
	tokens = w.mustRefresh(w.mustRefresh(tokens.Refresh).Refresh)
	store.server, store.seen = first, "first"
	w.clock.Advance(time.Hour)
	w.mustRefresh(w.mustRefresh(tokens.Refresh).Refresh)
}

func TestClass14ANewerTokenWithoutAFailoverEndsTheFamily(t *testing.T) {
	for name, change := range map[string]func(store *rewindable, tokens []string) string{
		"newer than what the same store has": func(store *rewindable, tokens []string) string {
			store.identity = "first"
			return tokens[4]
		},
		"newer, of a store that does not tell which one it is": func(store *rewindable, tokens []string) string {
			store.identity = ""
			return tokens[4]
		},
		"older than what the store has": func(_ *rewindable, tokens []string) string { return tokens[0] },
	} {
		t.Run(name, func(t *testing.T) {
			w, store, tokens := lagging(t, 2)
			token := change(store, tokens)
			if n := w.audit.FilterMessage(string(oauth.RefreshAhead)).Len(); n != 0 {
				t.Errorf("%d tokens are said to be active", n)
			}
			w.wantReuse(token)
		})
	}
	t.Run("newer, made while it was not known by which store", func(t *testing.T) {
		w := newWorld(t)
		store := w.onRewindable()
		store.seen = ""
		_, in := w.signIn(ada)
		token := w.mustRefresh(w.offline(in).Refresh).Refresh
		store.failOver("second", 1)
		w.clock.Advance(time.Hour)
		w.wantReuse(token)
	})
}

func TestAStoreWhoseIdentityIsUnknownEndsNoGrant(t *testing.T) {
	w, store, tokens := lagging(t, 1)
	store.silent = true
	_, refusal := w.refresh(tokens[4], nil)
	wantKind(t, refusal, oauth.Internal)
	store.silent = false
	w.mustRefresh(tokens[4])
}

// A grant that a failover lost cannot be told from one that was ended, and it never
// comes back.
func TestAGrantThatAFailoverLostIsInvalidAndLeavesNoMark(t *testing.T) {
	w := newWorld(t)
	store := w.onRewindable()
	none := store.server
	_, in := w.signIn(ada)
	token := w.offline(in).Refresh
	store.server = none
	store.identity = "second"
	_, refusal := w.refresh(token, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	for key := range store.values {
		if strings.HasPrefix(key, "ended:") || strings.HasPrefix(key, "grant:") {
			t.Errorf("%s is there", key)
		}
	}
	if n := w.audit.FilterMessage(string(oauth.RefreshReused)).Len(); n != 0 {
		t.Errorf("%d reuses in the audit log", n)
	}
}

// older stores a grant of an older release, and returns its tokens, the used one first.
func (w *world) older() (used, current string) {
	w.t.Helper()
	const grant = "an-old-grant.1"
	seal := func(secret []byte) string {
		token, err := w.Keys.Seal(w.t.Context(), "refresh token", append([]byte(grant), secret...))
		if err != nil {
			w.t.Fatal(err)
		}
		return token
	}
	// The last bytes of one token equal the marker of this release.
	usedSecret, secret := []byte(strings.Repeat("u", 32)), []byte(strings.Repeat("s", 31)+"\xb7")
	successor, err := keys.SealUnder(usedSecret, "refresh token's successor", secret)
	if err != nil {
		w.t.Fatal(err)
	}
	record, err := json.Marshal(map[string]any{
		"v": 1, "client": "1", "user": ada, "session": "", "scopes": []string{"email", "offline"}, "audience": []string{"game"},
		"auth_time": start.Unix(), "current": sha256.Sum256(secret),
		"used": []any{map[string]any{"hash": sha256.Sum256(usedSecret), "at": w.clock.Now().UnixMilli(), "successor": successor}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.Store.Put(w.t.Context(), "grant:"+grant, record, time.Hour*1000); err != nil {
		w.t.Fatal(err)
	}
	return seal(usedSecret), seal(secret)
}

func TestTokensAndGrantsOfOlderReleasesGoOn(t *testing.T) {
	t.Run("the current one", func(t *testing.T) {
		w := newWorld(t)
		store := w.onRewindable()
		_, current := w.older()
		w.clock.Advance(time.Hour)
		next := w.mustRefresh(current)
		store.failOver("second", 1) // to before this release
		w.clock.Advance(time.Hour)
		w.mustRefresh(w.mustRefresh(next.Refresh).Refresh)
	})
	t.Run("its predecessor", func(t *testing.T) {
		w := newWorld(t)
		w.onRewindable()
		used, current := w.older()
		w.clock.Advance(time.Hour)
		if again := w.mustRefresh(used); w.opened(again.Refresh) != w.opened(current) {
			t.Error("it is another successor")
		}
		w.mustRefresh(w.mustRefresh(current).Refresh)
		w.clock.Advance(time.Hour)
		w.wantReuse(used)
	})
	t.Run("one of long ago, after a failover", func(t *testing.T) {
		w := newWorld(t)
		store := w.onRewindable()
		used, current := w.older()
		w.mustRefresh(w.mustRefresh(current).Refresh)
		store.failOver("second", 1)
		w.clock.Advance(time.Hour)
		w.wantReuse(used)
	})
}

// A node of an older release reads the bytes after the grant as a random secret of 32
// bytes. The store has its hash.
func TestNodesOfOlderReleasesRefreshTokensOfThisOne(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	tokens := w.offline(in)
	for range 2 {
		grant := w.grantOf(tokens).ID
		secret, ok := strings.CutPrefix(w.opened(tokens.Refresh), grant)
		if !ok || len(secret) != 32 {
			t.Fatalf("%d bytes behind the grant: %v", len(secret), ok)
		}
		record, _, err := w.store.Get(t.Context(), "grant:"+grant)
		if err != nil {
			t.Fatal(err)
		}
		var stored struct {
			Current [sha256.Size]byte `json:"current"`
		}
		if err := json.Unmarshal(record, &stored); err != nil || stored.Current != sha256.Sum256([]byte(secret)) {
			t.Errorf("the store has another hash (%v)", err)
		}
		tokens = w.mustRefresh(tokens.Refresh)
	}
}
