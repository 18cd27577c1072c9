package caddymodule

import (
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/storageengines"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// MethodModule is the interface of a Caddy module below `sso.signin`: a sign-in
// method with its settings. The name of the module is its name in the Caddyfile,
// after `signin`. Its UnmarshalCaddyfile reads the rest of the block.
type MethodModule interface {
	// Method returns the sign-in method. It is called once, after Provision, and
	// opens no connection.
	Method() (signin.Method, error)
}

// AttemptLimiter is an optional interface of a module below `sso.signin` that checks
// passwords: it limits failed attempts. The limits of the first such module apply to
// all methods.
type AttemptLimiter interface {
	AttemptLimits() signin.AttemptLimits
}

// Engine is the interface of a Caddy module below `sso.storage`: a storage engine
// with its settings. The name of the module is its name in the Caddyfile, after
// `storage`. The store that Open returns must pass the conformance suite in
// storage/storagetest.
type Engine interface {
	// Identity identifies the store itself, without its other settings. Two
	// configurations with the same identity share one store, which a reload does not
	// close.
	Identity() string

	// Open opens the store. Provision never calls it, so that `caddy validate` opens
	// no store of a running server. now is the clock for lifetimes in the store: it
	// does not jump if the clock of the machine does.
	Open(log *zap.Logger, now func() time.Time) (storage.Store, error)

	// Shared reports whether other nodes use the same store.
	Shared() bool
}

// KeySealer is an optional interface of a module below `sso.storage`: then the store
// keeps the signing keys, and all its nodes have the same keys. Otherwise Caddy's own
// storage keeps them.
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
