// Package background ends, in the background, the sessions of users who may no longer
// sign in: [Rechecks] asks providers by refresh token, and [Disabled] follows the
// users that are disabled.
package background

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

const (
	// recheckers bounds how many requests to providers run at a time, and maxRechecks
	// how many sessions wait for that. Sessions beyond that are checked the next
	// time.
	recheckers  = 8
	maxRechecks = 4096

	// storeTries bounds the attempts to store a refresh token in place of one that
	// was spent, one second apart at first, then twice as long each time.
	storeTries = 6

	// Doubt is for how long a refresh token that is refused after an answer was lost
	// may have been spent, and nothing be wrong with the user.
	Doubt = 24 * time.Hour
)

// RefreshLabel returns the label under which a refresh token is sealed.
func RefreshLabel(method signin.Method, at string) string {
	return "refresh token of a provider\x00" + method.ID() + "\x00" + at
}

// Rechecks ask providers, in the background, whether the users of sessions in use
// may still sign in there. Its fields are set once.
type Rechecks struct {
	Server  *oauth.Server
	Methods methods.List
	Keys    *keys.Ring
	Log     *zap.Logger

	Due   chan session.Key
	Pause func(try int) // between attempts to store

	waiting logthrottle.Throttle
	unasked logthrottle.ByKind // of one provider, or of what is none's fault
}

// NewRechecks returns the rechecks for the sessions of s. Nothing is asked until Run.
func NewRechecks(s *oauth.Server, methods methods.List, log *zap.Logger) *Rechecks {
	r := &Rechecks{
		Server: s, Methods: methods, Keys: s.Keys, Log: log, Due: make(chan session.Key, maxRechecks),
		Pause: func(try int) { time.Sleep(time.Second << try) },
	}
	if slices.ContainsFunc(methods, mayRecheck) {
		s.Sessions.OnRecheck(r.add)
	}
	return r
}

// mayRecheck reports whether a method asks its provider, or can get a method that does.
func mayRecheck(method signin.Method) bool {
	if _, changing := method.(signin.DynamicMethods); changing {
		return true
	}
	renewing, ok := method.(signin.Renewer)
	if !ok {
		return false
	}
	_, every := renewing.Renewal()
	return every > 0
}

func (r *Rechecks) add(k session.Key) {
	select {
	case r.Due <- k:
	default:
		if n := r.waiting.Due(r.Server.Now()); n > 0 {
			r.Log.Warn("too many sessions wait for a check at their provider; they are checked the next time", zap.String("session", k.ID()), zap.Int("sessions", n))
		}
	}
}

// Run checks sessions until the context ends, and finishes the running checks. Then
// the next Rechecks get the sessions that are due.
func (r *Rechecks) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range recheckers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case k := <-r.Due:
					// A refresh token that was sent has to be followed by the next one.
					if err := r.Check(context.WithoutCancel(ctx), k); err != nil {
						r.NotAsked(k, err)
					}
				}
			}
		})
	}
	<-ctx.Done()
	r.Server.Sessions.OnRecheck(nil)
	workers.Wait()
}

// NotAsked logs that a check failed. While a provider does not answer, every check fails.
func (r *Rechecks) NotAsked(k session.Key, err error) {
	method, kind := (*MethodError)(nil), ""
	if errors.As(err, &method) {
		kind = method.ID
	}
	if n := r.unasked.Due(kind, err, r.Server.Now()); n > 0 {
		r.Log.Warn("a provider could not be asked whether a user may still sign in; it is asked again later",
			zap.String("session", k.ID()), zap.Error(err), zap.Int("sessions", n))
	}
}

// A MethodError is a fault of the method with an ID.
type MethodError struct {
	ID    string
	Cause error
}

func (e *MethodError) Error() string { return "signin " + e.ID + ": " + e.Cause.Error() }

func (e *MethodError) Unwrap() error { return e.Cause }

// Check asks the provider of a session, and ends the session if the answer requires it.
func (r *Rechecks) Check(ctx context.Context, k session.Key) error {
	found, up, err := r.Server.Sessions.ProviderSession(ctx, k)
	if errors.Is(err, session.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	user := found.User()
	method := r.Methods.Renewer(user.Signin)
	if method == nil || up.Refresh == "" {
		return nil
	}
	at, every := method.Renewal()
	if every <= 0 {
		return nil
	}
	token, err := r.Keys.Unseal(ctx, RefreshLabel(method, at), up.Refresh)
	if errors.Is(err, keys.ErrSealed) { // of a provider that was there before
		_, err = r.Server.Sessions.Renew(ctx, k, up.Refresh, session.ProviderSession{})
	}
	if err != nil || token == nil {
		return err
	}
	// This is stored first. If this process dies before the next token is stored, the
	// next check knows that this token may be used up.
	sent := up
	if sent.Sent == 0 {
		sent.Sent = r.Server.Now().UnixMilli()
	}
	if is, err := r.Server.Sessions.Renew(ctx, k, up.Refresh, sent); err != nil || !is {
		return err
	}
	next, now, err := renew(ctx, method, string(token), user)
	refused := (*signin.RefusedError)(nil)
	switch {
	case errors.Is(err, signin.ErrRevoked):
		return r.revoked(ctx, found, up)
	case errors.Is(err, signin.ErrNotAsked), errors.As(err, &refused):
		_, undone := r.Server.Sessions.Renew(ctx, k, up.Refresh, up)
		return errors.Join(&MethodError{method.ID(), err}, undone)
	case err != nil:
		return &MethodError{method.ID(), err}
	}
	sealed := up.Refresh
	if next != string(token) {
		if sealed, err = r.Keys.Seal(ctx, RefreshLabel(method, at), []byte(next)); err != nil {
			return fmt.Errorf("sealing a refresh token: %w", err)
		}
	}
	return r.store(ctx, k, up.Refresh, session.ProviderSession{Refresh: sealed, Every: every}, now)
}

// renew exchanges a refresh token, and returns the user as the provider knows them now.
func renew(ctx context.Context, method signin.Renewer, token string, u session.User) (next string, now session.User, err error) {
	if reading, ok := method.(signin.UserRenewer); ok {
		return reading.RenewUser(ctx, token, u)
	}
	next, err = method.Renew(ctx, token)
	return next, u, err
}

// store puts the next refresh token in the place of one that was spent, and what the
// provider says of the user in the place of what it said. It tries for a while: without
// it the next answer would be that the token was spent.
func (r *Rechecks) store(ctx context.Context, k session.Key, old string, next session.ProviderSession, now session.User) error {
	for try := 0; ; try++ {
		_, err := r.Server.Sessions.RenewUser(ctx, k, old, next, now)
		if err == nil || try == storeTries {
			return err
		}
		r.Pause(try)
	}
}

// revoked ends a session whose refresh token was refused. If an answer to that token
// was lost, the provider may have issued another one. Then the session stays, and
// ends only if the provider refuses the token again a day later.
func (r *Rechecks) revoked(ctx context.Context, found *session.Session, up session.ProviderSession) error {
	if up.Sent == 0 || (up.Refused != 0 && r.Server.Now().Sub(time.UnixMilli(up.Refused)) >= Doubt) {
		return r.end(ctx, found, up.Refresh)
	}
	r.Log.Warn("a provider no longer accepts a refresh token, and an earlier answer to that token was lost; the provider is asked again in a day, and the session continues until then",
		zap.String("session", found.ID()), zap.String("signin", found.User().Signin), zap.Time("lost", time.UnixMilli(up.Sent)))
	up.Every = Doubt
	if up.Refused == 0 {
		up.Refused = up.Asked
	}
	_, err := r.Server.Sessions.Renew(ctx, found.Key(), up.Refresh, up)
	return err
}

// end ends a session whose refresh token was refused, unless the session has another
// token by now.
func (r *Rechecks) end(ctx context.Context, found *session.Session, refused string) error {
	_, up, err := r.Server.Sessions.ProviderSession(ctx, found.Key())
	if errors.Is(err, session.ErrNone) || (err == nil && up.Refresh != refused) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.Server.Sessions.End(ctx, found.Key()); err != nil {
		return err
	}
	user := found.User()
	r.Server.Audit.Record(oauth.Event{What: oauth.SessionEnded, User: user, Session: found, Why: user.Signin + " says that the user may no longer sign in there"})
	return nil
}
