package signin

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
	"github.com/caddy-sso/caddy-sso/session"
)

// Renewer is a way whose provider tells, by a refresh token, whether a user may
// still sign in there.
type Renewer interface {
	Method

	// Renewal names who a refresh token is for, so that it is never sent to
	// anybody else, and says how often a session in use asks. Zero is never.
	Renewal() (at string, every time.Duration)

	// Renew trades a refresh token for the next one, which may be the same.
	// [ErrRevoked] says that it does not count any more; after an [ErrNotAsked] or
	// a [RefusedError] it is what it was. After any other error nothing is known:
	// the provider may have given a next one, which was lost on its way.
	Renew(ctx context.Context, token string) (next string, err error)
}

var (
	// ErrRevoked says that a provider takes a refresh token no more.
	ErrRevoked = errors.New("the provider takes the refresh token no more")

	// ErrNotAsked says that nothing reached a provider.
	ErrNotAsked = errors.New("it could not be asked")
)

const (
	// recheckers bounds how many providers' answers are waited for at once, and
	// maxRechecks how many sessions wait for that. Who comes beyond it is asked
	// about the next time.
	recheckers  = 8
	maxRechecks = 4096

	// storeTries bounds the attempts to store a refresh token in place of one that
	// was spent, one second apart at first, then twice as long each time.
	storeTries = 6

	// doubt is for how long a refresh token that is refused after an answer was lost
	// may have been spent, and nothing be wrong with the user.
	doubt = 24 * time.Hour
)

// refreshLabel is what a refresh token is sealed for.
func refreshLabel(method Method, at string) string {
	return "refresh token of a provider\x00" + method.ID() + "\x00" + at
}

// Rechecks ask providers, in the background, whether the users of sessions in use
// may still sign in there. Its fields are set once.
type Rechecks struct {
	Server  *oauth.Server
	Methods Methods
	Keys    *keys.Ring
	Log     *zap.Logger

	due   chan session.Key
	pause func(try int) // between attempts to store

	waiting logthrottle.Throttle
	unasked logthrottle.ByKind // of one provider, or of what is none's fault
}

// NewRechecks asks nobody until Run. It hears of the sessions of s.
func NewRechecks(s *oauth.Server, methods Methods, log *zap.Logger) *Rechecks {
	r := &Rechecks{
		Server: s, Methods: methods, Keys: s.Keys, Log: log, due: make(chan session.Key, maxRechecks),
		pause: func(try int) { time.Sleep(time.Second << try) },
	}
	if slices.ContainsFunc(methods, mayRecheck) {
		s.Sessions.OnRecheck(r.add)
	}
	return r
}

// mayRecheck says whether a way asks its provider, or one may come that does.
func mayRecheck(method Method) bool {
	if _, changing := method.(DynamicMethods); changing {
		return true
	}
	renewing, ok := method.(Renewer)
	if !ok {
		return false
	}
	_, every := renewing.Renewal()
	return every > 0
}

func (r *Rechecks) add(k session.Key) {
	select {
	case r.due <- k:
	default:
		if n := r.waiting.Due(r.Server.Now()); n > 0 {
			r.Log.Warn("too many sessions wait for their provider to be asked; they are asked about the next time", zap.String("session", k.ID()), zap.Int("sessions", n))
		}
	}
}

// Run works until the context ends, and what has begun is finished. After that
// others are told what is due.
func (r *Rechecks) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range recheckers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case k := <-r.due:
					// A refresh token that was sent has to be followed by the next one.
					if err := r.check(context.WithoutCancel(ctx), k); err != nil {
						r.notAsked(k, err)
					}
				}
			}
		})
	}
	<-ctx.Done()
	r.Server.Sessions.OnRecheck(nil)
	workers.Wait()
}

// notAsked logs that a check failed. While a provider is away every one does.
func (r *Rechecks) notAsked(k session.Key, err error) {
	method, kind := (*methodError)(nil), ""
	if errors.As(err, &method) {
		kind = method.id
	}
	if n := r.unasked.Due(kind, err, r.Server.Now()); n > 0 {
		r.Log.Warn("a provider could not be asked whether a user may still sign in; it is asked again later",
			zap.String("session", k.ID()), zap.Error(err), zap.Int("sessions", n))
	}
}

// A methodError is a fault of the way with an ID.
type methodError struct {
	id    string
	cause error
}

func (e *methodError) Error() string { return "signin " + e.id + ": " + e.cause.Error() }

func (e *methodError) Unwrap() error { return e.cause }

// check asks the provider of a session, and ends the session where it must.
func (r *Rechecks) check(ctx context.Context, k session.Key) error {
	found, up, err := r.Server.Sessions.ProviderSession(ctx, k)
	if errors.Is(err, session.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	user := found.User()
	method := r.Methods.renewer(user.Signin)
	if method == nil || up.Refresh == "" {
		return nil
	}
	at, every := method.Renewal()
	if every <= 0 {
		return nil
	}
	token, err := r.Keys.Unseal(ctx, refreshLabel(method, at), up.Refresh)
	if errors.Is(err, keys.ErrSealed) { // of a provider that was there before
		_, err = r.Server.Sessions.Renew(ctx, k, up.Refresh, session.ProviderSession{})
	}
	if err != nil || token == nil {
		return err
	}
	// Written down first: should this process die before the next token is stored,
	// whoever asks again knows that this one may be spent.
	sent := up
	if sent.Sent == 0 {
		sent.Sent = r.Server.Now().UnixMilli()
	}
	if is, err := r.Server.Sessions.Renew(ctx, k, up.Refresh, sent); err != nil || !is {
		return err
	}
	next, err := method.Renew(ctx, string(token))
	refused := (*RefusedError)(nil)
	switch {
	case errors.Is(err, ErrRevoked):
		return r.revoked(ctx, found, up)
	case errors.Is(err, ErrNotAsked), errors.As(err, &refused):
		_, undone := r.Server.Sessions.Renew(ctx, k, up.Refresh, up)
		return errors.Join(&methodError{method.ID(), err}, undone)
	case err != nil:
		return &methodError{method.ID(), err}
	}
	sealed := up.Refresh
	if next != string(token) {
		if sealed, err = r.Keys.Seal(ctx, refreshLabel(method, at), []byte(next)); err != nil {
			return fmt.Errorf("sealing a refresh token: %w", err)
		}
	}
	return r.store(ctx, k, up.Refresh, session.ProviderSession{Refresh: sealed, Every: every})
}

// store puts the next refresh token in the place of one that was spent. It tries
// for a while: without it the next answer would be that it was spent.
func (r *Rechecks) store(ctx context.Context, k session.Key, old string, next session.ProviderSession) error {
	for try := 0; ; try++ {
		_, err := r.Server.Sessions.Renew(ctx, k, old, next)
		if err == nil || try == storeTries {
			return err
		}
		r.pause(try)
	}
}

// revoked ends a session whose refresh token was refused. If an answer to that
// token was lost, the provider may have given another for it: nobody is signed out
// for that, and the refusal counts when it comes again a day later.
func (r *Rechecks) revoked(ctx context.Context, found *session.Session, up session.ProviderSession) error {
	if up.Sent == 0 || (up.Refused != 0 && r.Server.Now().Sub(time.UnixMilli(up.Refused)) >= doubt) {
		return r.end(ctx, found, up.Refresh)
	}
	r.Log.Warn("a provider takes a refresh token no more, of which an earlier answer was lost; it is asked again in a day, and the session goes on until then",
		zap.String("session", found.ID()), zap.String("signin", found.User().Signin), zap.Time("lost", time.UnixMilli(up.Sent)))
	up.Every = doubt
	if up.Refused == 0 {
		up.Refused = up.Asked
	}
	_, err := r.Server.Sessions.Renew(ctx, found.Key(), up.Refresh, up)
	return err
}

// end ends a session whose refresh token was refused, unless that has another by
// now.
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

// renewer is the way with an ID, nil where there is none that can tell.
func (ws Methods) renewer(id string) Renewer {
	method, _ := ws.find(id).(Renewer)
	return method
}
