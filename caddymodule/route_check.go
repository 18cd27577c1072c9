package caddymodule

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/routecheck"
)

// forRouteCheck returns the data of the app for the route checks.
func (a *App) forRouteCheck() routecheck.App {
	return routecheck.App{
		Issuer:        a.issuer,
		SessionCookie: a.sessionCookie(),
		SharedStorage: a.engine.Shared(),
		Clients:       a.clients,
		Groups:        a.methods.Groups,
		GateOf: func(handler any) (routecheck.Gate, bool) {
			g, ok := handler.(*Gate)
			if !ok {
				return routecheck.Gate{}, false
			}
			rules, _ := g.Rules.parse() //nolint:errcheck // Provision says what is wrong
			return routecheck.Gate{
				Client: g.Client, Require: g.Require, RuleGroups: g.Rules.groups(), Conditions: rules.Conditions(), MaxAge: time.Duration(g.MaxAge), AllowClients: g.AllowClients, AllowUpgrade: g.AllowUpgrade,
				Headers: g.headerSettings(), LicenseActivation: g.LicenseActivation,
				Matchers: g.matchers, MatcherSetsRaw: g.MatcherSetsRaw,
			}, true
		},
		IsPortal: func(handler any) bool {
			_, ok := handler.(*Portal)
			return ok
		},
	}
}

// scrubServer has identity headers deleted on the routes of the server that a handler of
// ours is being provisioned for: once for each server.
func (a *App) scrubServer(ctx caddy.Context) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || slices.Contains(a.scrubbed, server) {
		return nil
	}
	a.scrubbed = append(a.scrubbed, server)
	return routecheck.ScrubServer(ctx, a.forRouteCheck(), server)
}
