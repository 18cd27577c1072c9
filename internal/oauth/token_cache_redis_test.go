//go:build unix

package oauth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// onRedis are two nodes of one portal: they share keys and a server, and each
// remembers tokens by itself.
func onRedis(t *testing.T) (one, two *world, server *redistest.Server) {
	t.Helper()
	server = redistest.Start(t)
	one = newWorld(t)
	two = newWorld(t)
	two.Keys = one.Keys
	for _, w := range []*world{one, two} {
		s, err := redis.Open(server.URL(), redis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		until(t, "the node is connected", func() bool {
			_, _, err := s.Get(t.Context(), "nothing")
			return err == nil
		})
		w.store = faultystore.New(s)
		w.restart()
		w.remember(session.Policy{}, oauth.TokenCacheOptions{})
	}
	return one, two, server
}

func TestClass16AnEndOnOneNodeIsSeenOnTheOther(t *testing.T) {
	one, two, _ := onRedis(t)
	for name, offline := range map[string]bool{"a user's": false, "offline": true} {
		t.Run(name, func(t *testing.T) {
			_, in := one.signIn(ada)
			token, other := one.openIDTokens(in, nil).Access, one.openIDTokens(in, nil).Access
			if offline {
				token, other = one.offlineTokens(in).Access, one.offlineTokens(in).Access
			}
			v := two.verified(token)
			live, release := two.Attach(t.Context(), v)
			defer release()
			otherLive, release := two.Attach(t.Context(), two.verified(other))
			defer release()
			if err := one.Grants.End(t.Context(), v.Claims.Grant); err != nil {
				t.Fatal(err)
			}
			one.refused(token, oauth.InvalidToken)
			until(t, "the other node refuses the token", func() bool {
				_, refusal := two.VerifyAccess(t.Context(), token)
				return refusal != nil && refusal.Kind == oauth.InvalidToken
			})
			if err := waitEnded(live); err != nil {
				t.Error(err)
			}
			two.verified(other)
			if otherLive.Err() != nil {
				t.Error("another grant's request has ended, too")
			}
			if offline {
				return
			}
			if err := one.EndSession(t.Context(), in, ""); err != nil {
				t.Fatal(err)
			}
			if err := waitEnded(otherLive); err != nil {
				t.Error(err)
			}
			until(t, "the other node refuses the session's token", func() bool {
				_, refusal := two.VerifyAccess(t.Context(), other)
				return refusal != nil && refusal.Kind == oauth.InvalidToken
			})
		})
	}
}

// A server that is full refuses the mark. Removing what is stored of a persistent grant
// ends it, too.
func TestClass35APersistentGrantEndsWhileTheStoreIsFull(t *testing.T) {
	one, two, server := onRedis(t)
	_, in := one.signIn(ada)
	tokens := one.offlineTokens(in)
	two.verified(tokens.Access)
	server.MustCommand("CONFIG", "SET", "maxmemory", "1")
	if n, err := one.Grants.EndUser(t.Context(), ada.Subject); err != nil || n != 1 {
		t.Errorf("%d grants ended (%v)", n, err)
	}
	one.refused(tokens.Access, oauth.InvalidToken)
	until(t, "the other node refuses the token", func() bool {
		_, refusal := two.VerifyAccess(t.Context(), tokens.Access)
		return refusal != nil && refusal.Kind == oauth.InvalidToken
	})
	_, refusal := two.refresh(tokens.Refresh, nil)
	wantKind(t, refusal, oauth.InvalidGrant)
}

// A node whose server is away believes what it knows, and asks again before
// anything else once the server is back.
func TestWhatEndsWhileANodeIsCutOffIsSeenWhenItIsBack(t *testing.T) {
	one, _, server := onRedis(t)
	_, in := one.signIn(ada)
	token := one.openIDTokens(in, nil).Access
	v := one.verified(token)
	live, release := one.Attach(t.Context(), v)
	defer release()
	server.Stop()
	until(t, "the loss of the server is noticed", func() bool {
		_, err := one.Grants.Active(t.Context(), oauth.Grant{ID: v.Claims.Grant})
		return errors.Is(err, storage.ErrUnavailable)
	})
	one.verified(token)
	if live.Err() != nil {
		t.Error("the request has ended though the session is believed")
	}
	server.Restart() // empty: the session is gone
	until(t, "the token of the session that is gone is refused", func() bool {
		_, refusal := one.VerifyAccess(t.Context(), token)
		return refusal != nil && refusal.Kind == oauth.InvalidToken
	})
	if err := waitEnded(live); err != nil {
		t.Error(err)
	}
}

// What a node reads while another writes is never older than what it was told.
func TestANodeThatReadsWhileAnotherEndsForgetsNothing(t *testing.T) {
	one, two, _ := onRedis(t)
	_, in := one.signIn(ada)
	for range 50 {
		token := one.openIDTokens(in, nil).Access
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 {
				two.VerifyAccess(t.Context(), token)
			}
		}()
		if err := one.Grants.End(t.Context(), one.payload(token)["gid"].(string)); err != nil {
			t.Fatal(err)
		}
		<-done
		deadline := time.Now().Add(10 * time.Second)
		for {
			if _, refusal := two.VerifyAccess(t.Context(), token); refusal != nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("an ended grant is remembered as one that counts")
			}
		}
	}
}

// Of equal redemptions on two nodes at once one gives tokens, which count on both.
func TestClass12OfEqualRedemptionsOnTwoNodesOneGivesTokensThatLive(t *testing.T) {
	one, two, _ := onRedis(t)
	for _, w := range []*world{one, two} {
		w.Codes = codes.NewStored(w.Store, codes.Options{Now: w.clock.Now})
	}
	_, in := one.signIn(ada)
	for i := range 20 {
		code := one.code(in, func(r *oauth.AuthorizeRequest) { r.Scope = []string{"email", "offline"}[i%2:] })
		given := atOnce(t, code, one, two)
		if len(given) != 1 {
			t.Fatalf("%d of them have tokens", len(given))
		}
		for _, w := range []*world{one, two} {
			w.verified(given[0].Access)
		}
		if i%2 == 0 && given[0].Refresh == "" {
			t.Error("there is no refresh token")
		}
	}
}
