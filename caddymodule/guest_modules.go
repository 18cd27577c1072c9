package caddymodule

import (
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/storageengines"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// MethodModule is what a Caddy module below `sso.signin` has to be: a sign-in method
// with its settings. The name of the module is its name in the Caddyfile, after
// `signin`; what follows there is read by its UnmarshalCaddyfile.
type MethodModule interface {
	// Method makes the sign-in method. It is called once, after Provision, and
	// connects to nothing.
	Method() (signin.Method, error)
}

// AttemptLimiter is what a module below `sso.signin` can be, too, if it takes passwords:
// it says how often they may be tried. The first one that says so counts for all
// methods.
type AttemptLimiter interface {
	AttemptLimits() signin.AttemptLimits
}

// Engine is what a Caddy module below `sso.storage` has to be: a storage engine with its
// settings. The name of the module is its name in the Caddyfile, after `storage`. What
// Open returns has to pass the conformance suite in storage/storagetest.
type Engine interface {
	// Identity names the store itself, whatever the settings around it. Two
	// configurations with one identity share one store, which a reload does not
	// close.
	Identity() string

	// Open opens the store. It is never called by Provision, so that `caddy validate`
	// opens nothing beside a running server. now is the clock that the store counts
	// lifetimes by: when the clock of the machine jumps, that one does not.
	Open(log *zap.Logger, now func() time.Time) (storage.Store, error)

	// Shared reports whether other nodes use the same store.
	Shared() bool
}

// KeySealer is what a module below `sso.storage` can be, too: then the store keeps the
// signing keys, and all its nodes have the same ones. Otherwise the keys are kept in
// Caddy's own storage.
type KeySealer interface {
	// SealingSecrets returns the secrets that the signing keys are sealed with, so that
	// a stolen store signs nothing. The first one seals, each of them opens.
	SealingSecrets() [][]byte
}

// Interface guards
var (
	_ MethodModule   = (*signinmethods.Local)(nil)
	_ MethodModule   = (*signinmethods.OIDC)(nil)
	_ MethodModule   = (*signinmethods.Backend)(nil)
	_ MethodModule   = (*signinmethods.Trusted)(nil)
	_ AttemptLimiter = (*signinmethods.Local)(nil)

	_ Engine    = (*storageengines.Memory)(nil)
	_ Engine    = (*storageengines.File)(nil)
	_ Engine    = (*storageengines.Redis)(nil)
	_ KeySealer = (*storageengines.Redis)(nil)
)
