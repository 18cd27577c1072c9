package oauth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func TestClass16AnAttachedRequestEndsWithItsTokensSessionAndGrant(t *testing.T) {
	endGrant := func(w *world, _ oauth.SignedIn, v *oauth.Verified) error {
		return w.Grants.End(w.t.Context(), v.Claims.Grant)
	}
	endSession := func(w *world, in oauth.SignedIn, _ *oauth.Verified) error { return w.EndSession(w.t.Context(), in, "") }
	for name, tt := range map[string]struct {
		offline bool
		end     func(*world, oauth.SignedIn, *oauth.Verified) error
		lives   bool
	}{
		"its grant":                      {false, endGrant, false},
		"its session":                    {false, endSession, false},
		"its grant, offline":             {true, endGrant, false},
		"its session, which it outlives": {true, endSession, true},
		"what is stored of it, offline": {true, func(w *world, _ oauth.SignedIn, v *oauth.Verified) error {
			_, _, err := w.Store.Take(w.t.Context(), "grant:"+v.Claims.Grant)
			return err
		}, false},
		"nothing: another grant has ended": {false, func(w *world, in oauth.SignedIn, _ *oauth.Verified) error {
			return w.Grants.End(w.t.Context(), w.payload(w.openIDTokens(in, nil).Access)["gid"].(string))
		}, true},
		"nothing: its tokens were refreshed": {true, func(w *world, in oauth.SignedIn, v *oauth.Verified) error {
			return w.Store.Put(w.t.Context(), "other:"+v.Claims.Grant, nil, time.Hour)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := remembering(t)
			_, in := w.signIn(ada)
			token := w.openIDTokens(in, nil).Access
			if tt.offline {
				token = w.offlineTokens(in).Access
			}
			v := w.verified(token)
			first, release := w.Attach(t.Context(), v)
			defer release()
			second, releaseSecond := w.Attach(t.Context(), v)
			releaseSecond()
			if context.Cause(second) != context.Canceled {
				t.Error("released, the context has cause", context.Cause(second))
			}
			third, releaseThird := w.Attach(t.Context(), v)
			defer releaseThird()
			if err := tt.end(w, in, v); err != nil {
				t.Fatal(err)
			}
			if tt.lives {
				if first.Err() != nil || third.Err() != nil {
					t.Error("the requests have ended")
				}
				return
			}
			for _, ctx := range []context.Context{first, third} {
				if err := waitEnded(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestClass16TheAttachedRequestsOfARemovedUserAreClosed(t *testing.T) {
	for name, token := range kindsOfTokens {
		t.Run(name, func(t *testing.T) {
			w, _ := remembering(t)
			_, in := w.signIn(ada)
			v := w.verified(token(w, in))
			ctx, release := w.Attach(t.Context(), v)
			defer release()
			w.CloseRequests(func(u session.User) bool { return u.Subject == "another user" })
			if ctx.Err() != nil {
				t.Fatal("the request has ended with another user")
			}
			w.CloseRequests(func(u session.User) bool { return u.Subject == ada.Subject })
			if ended := context.Cause(ctx) == session.ErrEnded; ended != (v.Claims.Grant != "") {
				t.Errorf("the request has ended: %v", ended)
			}
		})
	}
}

func TestARefreshDoesNotEndAttachedRequests(t *testing.T) {
	w, h := remembering(t)
	_, in := w.signIn(ada)
	tokens := w.offlineTokens(in)
	ctx, release := w.Attach(t.Context(), w.verified(tokens.Access))
	defer release()
	before := h.gets.Load()
	if _, refusal := w.Refresh(t.Context(), oauth.RefreshRequest{Client: w.client("1"), Token: tokens.Refresh}); refusal != nil {
		t.Fatal(refusal)
	}
	until(t, "the grant was read again", func() bool { return h.gets.Load() >= before+3 })
	if ctx.Err() != nil {
		t.Error("the request has ended")
	}
}

func TestAnAttachedRequestEndsWhenItsTokenExpires(t *testing.T) {
	for name, token := range kindsOfTokens {
		t.Run(name, func(t *testing.T) {
			w, _ := remembering(t)
			_, in := w.signIn(ada)
			v := w.verified(token(w, in))
			w.clock.Advance(oauth.TokenLifetime - 50*time.Millisecond)
			ctx, release := w.Attach(t.Context(), v)
			defer release()
			if err := waitEnded(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// The grant may end between the check of a token and the attachment of its request.
func TestAnEndBeforeTheAttachmentIsNoticed(t *testing.T) {
	for _, offline := range []bool{false, true} {
		w, h := remembering(t)
		_, in := w.signIn(ada)
		token := w.openIDTokens(in, nil).Access
		if offline {
			token = w.offlineTokens(in).Access
		}
		v := w.verified(token)
		if err := w.Grants.End(t.Context(), v.Claims.Grant); err != nil {
			t.Fatal(err)
		}
		ctx, release := w.Attach(t.Context(), v) // evicted by now
		defer release()
		if err := waitEnded(ctx); err != nil {
			t.Error(err)
		}
		w.refused(token, oauth.InvalidToken)
		ctx, release = w.Attach(t.Context(), v) // known to have ended
		defer release()
		if err := waitEnded(ctx); err != nil {
			t.Error(err)
		}

		other := w.openIDTokens(in, nil).Access
		v = w.verified(other)
		h.mute.Store(true)
		if err := w.Grants.End(t.Context(), v.Claims.Grant); err != nil {
			t.Fatal(err)
		}
		h.lose() // and then no request uses the token
		ctx, release = w.Attach(t.Context(), v)
		defer release()
		if err := waitEnded(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestAttachedRequestsAreVerifiedAfterAnInterruption(t *testing.T) {
	w, h := remembering(t)
	_, in := w.signIn(ada)
	ended, goesOn := w.verified(w.openIDTokens(in, nil).Access), w.verified(w.offlineTokens(in).Access)
	endedCtx, release := w.Attach(t.Context(), ended)
	defer release()
	goesOnCtx, release := w.Attach(t.Context(), goesOn)
	defer release()
	h.mute.Store(true)
	if err := w.Grants.End(t.Context(), ended.Claims.Grant); err != nil {
		t.Fatal(err)
	}
	w.store.Down(true)
	h.lose()
	w.clock.Advance(time.Minute)
	if endedCtx.Err() != nil {
		t.Error("ended before the store has answered")
	}
	w.store.Down(false)
	if err := waitEnded(endedCtx); err != nil {
		t.Error(err)
	}
	if goesOnCtx.Err() != nil {
		t.Error("the other one has ended, too")
	}
}

func TestAttachedRequestsEndWhenAnOutageIsLongerThanTheirGraces(t *testing.T) {
	w, h := remembering(t)
	w.remember(session.Policy{OutageGrace: 5 * time.Minute}, oauth.TokenCacheOptions{})
	_, in := w.signIn(ada)
	v := w.verified(w.offlineTokens(in).Access) // it depends on no session
	ctx, release := w.Attach(t.Context(), v)
	defer release()
	w.store.Down(true)
	h.lose()
	w.clock.Advance(4 * time.Minute)
	if ctx.Err() != nil {
		t.Error("ended within the grace")
	}
	w.clock.Advance(2 * time.Minute)
	if err := waitEnded(ctx); err != nil {
		t.Error(err)
	}
}

func TestRequestsComeAndGoWhileGrantsEnd(t *testing.T) {
	w, h := remembering(t)
	_, in := w.signIn(ada)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				v, refusal := w.VerifyAccess(t.Context(), w.openIDTokens(in, nil).Access)
				if refusal != nil {
					t.Error(refusal)
					return
				}
				var requests sync.WaitGroup
				for i := range 6 {
					requests.Go(func() {
						ctx, release := w.Attach(t.Context(), v)
						if i%2 == 0 {
							if err := waitEnded(ctx); err != nil {
								t.Error(err)
							}
						}
						release()
					})
				}
				if err := w.Grants.End(t.Context(), v.Claims.Grant); err != nil {
					t.Error(err)
				}
				h.lose()
				requests.Wait()
			}
		})
	}
	all.Wait()
}
