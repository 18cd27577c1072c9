package oauth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// small is a world whose store evicts the least recently used values.
func small(t *testing.T, capacity int) *world {
	w := newWorld(t)
	w.store.Store = memory.New(memory.Options{Capacity: capacity, Now: w.clock.Now})
	w.restart()
	return w
}

// crowd writes so many values that the store evicts every value that is not used meanwhile.
func (w *world) crowd(n int, use func()) {
	w.t.Helper()
	for i := range n {
		if err := w.store.Store.Put(w.t.Context(), fmt.Sprint("other ", w.clock.Now().UnixNano(), i), []byte("1"), time.Hour); err != nil {
			w.t.Fatal(err)
		}
		if i%16 == 0 {
			use()
		}
	}
}

// The list of a user's grants is not evicted before the grants on it: signing out
// everywhere depends on the list.
func TestClass35AGrantInUseIsEndedWithAllOthersOfItsUser(t *testing.T) {
	w := small(t, 64)
	_, in := w.signIn(ada)
	tokens := w.offline(in)
	w.crowd(256, func() {
		w.clock.Advance(time.Minute)
		tokens = w.mustRefresh(tokens.Refresh)
	})
	if n, err := w.Grants.EndUser(t.Context(), ada.Subject); err != nil || n != 1 {
		t.Errorf("%d grants ended (%v)", n, err)
	}
	_, refusal := w.refresh(tokens.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	w.refused(tokens.Access, oauth.InvalidToken)
}

// A mark is kept for the lifetime with which the tokens were issued, even if the
// lifetime is shorter at the revocation.
func TestClass35AMarkOutlivesTokensOfALongerLifetime(t *testing.T) {
	w := small(t, 64)
	_, in := w.signIn(ada)
	c := w.client("1")
	c.TokenLifetime = oauth.MaxTokenLifetime
	issued, refusal := w.ExchangeCode(t.Context(), oauth.CodeRequest{Client: c, Code: w.code(in, nil), RedirectURI: callback, Verifier: verifier})
	if refusal != nil {
		t.Fatal(refusal)
	}
	c.TokenLifetime = time.Minute
	narrow, refusal := w.ExchangeToken(t.Context(), oauth.ExchangeRequest{Client: c, Token: issued.Access})
	if refusal != nil {
		t.Fatal(refusal)
	}
	if refusal := w.Revoke(t.Context(), c, narrow.Access, ""); refusal != nil {
		t.Fatal(refusal)
	}
	use := func() { // the session, so that it does not end before the token
		if _, err := w.Sessions.Lookup(t.Context(), in.Session.Key()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Sessions.Stored(t.Context(), in.Session.Key()); err != nil {
			t.Fatal(err)
		}
	}
	for range 23 {
		w.clock.Advance(time.Hour)
		w.crowd(128, use)
		w.refused(issued.Access, oauth.InvalidToken)
	}
	w.clock.Advance(59 * time.Minute)
	w.refused(issued.Access, oauth.InvalidToken)
	fresh := w.openIDTokens(in, nil)
	w.verified(fresh.Access)
}

// The end of a stored grant needs no mark for the lifetime of its tokens: they end
// with its record.
func TestTheMarkOfAStoredGrantIsShort(t *testing.T) {
	w := newWorld(t)
	_, in := w.signIn(ada)
	tokens := w.offline(in)
	if refusal := w.Revoke(t.Context(), w.client("1"), tokens.Refresh, ""); refusal != nil {
		t.Fatal(refusal)
	}
	w.clock.Advance(10 * time.Minute)
	if n := w.marks(); n != 0 {
		t.Errorf("%d marks are left", n)
	}
	w.refused(tokens.Access, oauth.InvalidToken)
	_, refusal := w.refresh(tokens.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
	for range 70 { // beyond the limit of a user the oldest grants end, without a mark
		w.offline(in)
	}
	if n := w.marks(); n != 0 {
		t.Errorf("%d marks of grants that made room", n)
	}
}

func (w *world) marks() (n int) {
	w.t.Helper()
	if err := w.store.Scan(w.t.Context(), "ended:", func(string, []byte) error { n++; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// If a store has no room for a mark, the revocation is an error, not a false success.
func TestClass35ARevocationThatCannotBeStoredIsAnError(t *testing.T) {
	const room = 8
	w := small(t, room)
	_, in := w.signIn(ada)
	tokens := w.openIDTokens(in, nil)
	for i := range room {
		if err := w.store.Pin(t.Context(), fmt.Sprint("ended:", i), []byte("1"), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	refusal := w.Revoke(t.Context(), w.client("1"), tokens.Access, "")
	wantKind(t, refusal, oauth.Internal)
	w.verified(tokens.Access)
	w.clock.Advance(time.Hour - time.Second)
	fresh := w.openIDTokens(in, nil)
	w.clock.Advance(time.Second)
	if refusal := w.Revoke(t.Context(), w.client("1"), fresh.Access, ""); refusal != nil {
		t.Fatal(refusal)
	}
	w.refused(fresh.Access, oauth.InvalidToken)
}
