package oauth_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func TestAnInterruptedFeedMakesGrantsUnverified(t *testing.T) {
	for _, offline := range []bool{false, true} {
		t.Run(fmt.Sprint("offline ", offline), func(t *testing.T) {
			w, h := remembering(t)
			_, in := w.signIn(ada)
			tokens := []string{w.openIDTokens(in, nil).Access, w.openIDTokens(in, nil).Access}
			if offline {
				tokens = []string{w.offlineTokens(in).Access, w.offlineTokens(in).Access}
			}
			ended, goesOn := tokens[0], tokens[1]
			grant := w.verified(ended).Claims.Grant
			w.verified(goesOn)
			h.mute.Store(true)
			if err := w.Grants.End(t.Context(), grant); err != nil {
				t.Fatal(err)
			}
			w.verified(ended) // nobody has told
			w.store.Down(true)
			h.lose()
			w.clock.Advance(4 * time.Minute)
			for _, token := range tokens { // believed, as sessions are
				w.verified(token)
			}
			w.clock.Advance(2 * time.Minute)
			for _, token := range tokens {
				w.refused(token, oauth.Internal)
			}
			w.store.Down(false)
			w.refused(ended, oauth.InvalidToken)
			w.verified(goesOn)
			w.store.Down(true)
			w.verified(goesOn) // verified once, as before
		})
	}
}

// Once one request has met the silence, no other asks the store; what ended
// unheard is noticed when it answers.
// Every connection that ends is an interruption, and they end together.
func TestOfInterruptionsAtOnceNoneIsLost(t *testing.T) {
	w, store := remembering(t)
	_, in := w.signIn(ada)
	token := w.offlineTokens(in).Access
	for range 5000 {
		var all sync.WaitGroup
		for range 4 {
			all.Go(store.lose)
			all.Go(func() { w.verified(token) })
		}
		all.Wait()
		store.lose()
		before := store.asked.Load()
		if _, refusal := w.VerifyAccess(context.WithValue(t.Context(), ofRequest{}, true), token); refusal != nil {
			t.Fatal(refusal)
		}
		if store.asked.Load() == before {
			t.Fatal("a grant that was read before an interruption is believed")
		}
	}
}

func TestNoKnownTokenWaitsForASilentStore(t *testing.T) {
	for _, offline := range []bool{false, true} {
		t.Run(fmt.Sprint("offline ", offline), func(t *testing.T) {
			w, h := remembering(t)
			w.remember(session.Policy{OutageGrace: time.Hour}, oauth.TokenCacheOptions{Patience: time.Millisecond})
			_, in := w.signIn(ada)
			token := w.openIDTokens(in, nil).Access
			if offline {
				token = w.offlineTokens(in).Access
			}
			grant := w.verified(token).Claims.Grant
			h.mute.Store(true)
			if err := w.Grants.End(t.Context(), grant); err != nil {
				t.Fatal(err)
			}
			h.hangs.Store(true)
			h.lose()
			ctx := context.WithValue(t.Context(), ofRequest{}, true)
			for range 100 {
				if _, refusal := w.VerifyAccess(ctx, token); refusal != nil {
					t.Fatal(refusal)
				}
			}
			if n := h.asked.Load(); n > 2 {
				t.Errorf("requests asked the store %d times; want once for the session and once for the grant", n)
			}
			h.hangs.Store(false)
			h.lose() // as the store says when it is back
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
				_, refusal := w.VerifyAccess(t.Context(), token)
				if refusal != nil && refusal.Kind == oauth.InvalidToken {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("the token of a grant that ended still counts: %v", refusal)
				}
			}
		})
	}
}

func TestWithoutAGraceAnUnverifiedGrantIsNotBelieved(t *testing.T) {
	w, h := remembering(t)
	w.remember(session.Policy{OutageGrace: -1}, oauth.TokenCacheOptions{})
	_, in := w.signIn(ada)
	token := w.openIDTokens(in, nil).Access
	w.verified(token)
	w.store.Down(true)
	h.lose()
	w.refused(token, oauth.Internal)
}

// A grant that has outlived its session is held to the grace by itself.
func TestAGrantWithoutASessionIsBelievedForTheGrace(t *testing.T) {
	w, h := remembering(t)
	_, in := w.signIn(ada)
	token := kindsOfTokens["offline, and its session is over"](w, in)
	w.verified(token)
	w.store.Down(true)
	h.lose()
	w.clock.Advance(4 * time.Minute)
	w.verified(token)
	w.clock.Advance(2 * time.Minute)
	w.refused(token, oauth.Internal)
	w.store.Down(false)
	w.verified(token)
}

func TestAnUnknownGrantIsNotBelievedInAnOutage(t *testing.T) {
	w, _ := remembering(t)
	_, in := w.signIn(ada)
	token := w.openIDTokens(in, nil).Access
	w.store.Down(true)
	w.refused(token, oauth.Internal)
}
