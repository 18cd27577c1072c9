// Package caddymodule is the part of caddy-sso that knows Caddy. It reads the
// configuration, registers the modules, and connects the packages below. The decisions
// are taken there.
//
// # Modules
//
// An import of this package registers all of them: the app `sso` (App), the handlers
// `sso_gate` (Gate) and `sso_portal` (Portal), the sign-in methods and storage engines
// that come with the project, the admin API below `/sso/`, the command `caddy sso`, and
// the names of the Caddyfile.
//
// # A sign-in method or a storage engine of your own
//
// A Go module with a Caddy module below `sso.signin` that is a MethodModule adds a
// sign-in method. One below `sso.storage` that is an Engine adds a storage engine. It does
// not have to import this package: it needs what those interfaces name, from signin and
// storage.
//
// # Loading
//
// A mistake is reported where its line is known: while Caddy reads the Caddyfile, by the
// same functions that check the JSON later. Its error names what to write instead.
//
// One walk over all routes, at the end of the app's Provision, finds what bypasses a gate
// and sites on which no user could sign in: see internal/routecheck. It also runs in
// `caddy validate`. A matcher in front of a server's routes deletes identity headers
// before the first handler, also on routes without a gate.
//
// Handlers return no error of the app: Caddy would report it with the names of all modules
// around the handler. The app itself returns it, once.
//
// # State and reloads
//
// The store, the caches, codes and limits survive a reload in a usage pool, with the
// store's identity as the key. Everything that a configuration sets stays outside of it.
// Stores open in Start, or at the first request, and never in Provision, since `caddy
// validate` provisions beside a running server. They close with the last request that uses
// them.
//
// # Errors with secrets
//
// Caddy logs an error that a handler returns together with the URL of the request. If the
// URL has a secret, the handler runs the error routes itself, and logs the error without
// the query.
//
// # Paths without a handler
//
// If no handler answers, Caddy answers 200, which programs take for success. Below /api/,
// /oauth2/ and /sso/ the portal asks the next handler first, and answers 404 if that has
// not begun an answer.
package caddymodule
