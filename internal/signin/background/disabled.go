package background

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// disabledInterval is the time between two checks for disabled users.
const disabledInterval = time.Second

// Disabled ends the sessions and grants of users who were disabled. So an intruder is not
// back in the account when it is enabled again. If the store fails, it tries again. Its
// fields are set once.
type Disabled struct {
	Server  *oauth.Server
	Methods methods.List
	Log     *zap.Logger
}

// Run checks the users until the context ends.
func (d *Disabled) Run(ctx context.Context) {
	var all []*MethodUsers
	for _, method := range d.Methods {
		if disabling, ok := method.(signin.DisabledLister); ok {
			all = append(all, &MethodUsers{Disabled: d, Method: disabling})
		}
	}
	ticker := time.NewTicker(disabledInterval)
	defer ticker.Stop()
	for {
		for _, one := range all {
			one.Look(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// MethodUsers are the users of one method.
type MethodUsers struct {
	*Disabled
	Method signin.DisabledLister
	seen   []string
	ended  map[string]bool // whether nothing of theirs is left, by subject
	left   error           // what went wrong at the last look
}

// Look ends the sessions and grants of users who were disabled since the last check.
func (d *MethodUsers) Look(ctx context.Context) {
	now := d.Method.Disabled()
	if d.left == nil && slices.Equal(now, d.seen) {
		return
	}
	ended, before := make(map[string]bool, len(now)), d.left
	d.left = nil
	for _, subject := range now {
		if ended[subject] = d.ended[subject]; ended[subject] || errors.Is(d.left, storage.ErrUnavailable) {
			continue
		}
		err := d.end(ctx, subject)
		if ended[subject] = err == nil; err != nil {
			d.left = err
		}
	}
	d.seen, d.ended = now, ended
	if d.left != nil && before == nil && ctx.Err() == nil {
		d.Log.Warn("sessions of a disabled user could not be ended; they cannot be used, and the portal tries again", zap.Error(d.left))
	}
}

// end ends sessions first, so that no code of theirs becomes a grant meanwhile.
func (d *MethodUsers) end(ctx context.Context, subject string) error {
	sessions, err := d.Server.Sessions.EndUser(ctx, subject)
	grants, grantsErr := d.Server.Grants.EndUser(ctx, subject)
	if sessions+grants > 0 {
		d.Server.Audit.Record(oauth.Event{
			What: oauth.SessionEnded, User: session.User{Subject: subject, Name: d.Method.NameOf(subject), Signin: d.Method.ID()},
			Why: fmt.Sprintf("the user is disabled: all %d, and %d persistent grants", sessions, grants),
		})
	}
	return errors.Join(err, grantsErr)
}
