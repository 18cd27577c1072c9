package caddymodule

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/gate"
)

// ruleKinds are the kinds of rules, in the order in which errors name them.
var ruleKinds = []string{"user", "group", "email", "email_domain", "claim", "signin"}

const (
	requireSyntax = "write one of: require group <name>..., require user <name|uuid>..., require email <address>..., require email_domain <domain>..., require claim <name> <value>..., require signin <id>..., require any { … }"
	denySyntax    = "write one of: deny user <name|uuid>..., deny group <name>..., deny email <address>..., deny email_domain <domain>..., deny claim <name> <value>..."
)

// unmarshalRequire reads a line of require. Groups are a list of their own.
func (g *Gate) unmarshalRequire(d *caddyfile.Dispenser, lines optionLines) error {
	if !d.NextArg() {
		return d.Err("require: expected what is required; " + requireSyntax)
	}
	switch kind := d.Val(); {
	case kind == "group":
		before := len(g.Require)
		err := options.TextArgs(d, &g.Require)
		lines.markEach(d, "require", g.Require[before:])
		return err
	case kind == "any":
		return g.unmarshalAny(d, lines)
	case slices.Contains(ruleKinds, kind):
		rule, err := unmarshalRule(d, lines)
		if err == nil {
			g.rules().Require = append(g.Rules.Require, rule)
		}
		return err
	}
	return d.Errf("require %s: expected user, group, email, email_domain, claim, signin or any; %s", d.Val(), requireSyntax)
}

// unmarshalAny reads a block, of which one line has to hold.
func (g *Gate) unmarshalAny(d *caddyfile.Dispenser, lines optionLines) error {
	if d.NextArg() {
		return d.Errf("require any %s: expected a block; write: require any { %s … }", d.Val(), d.Val())
	}
	var set []GateRule
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if !slices.Contains(ruleKinds, d.Val()) {
			return d.Errf("require any: %s is no kind of rule; expected user, group, email, email_domain, claim or signin", d.Val())
		}
		rule, err := unmarshalRule(d, lines)
		if err != nil {
			return err
		}
		set = append(set, rule)
	}
	if len(set) == 0 {
		return d.Err("require any: expected at least one line, such as: group staff")
	}
	g.rules().RequireAny = append(g.Rules.RequireAny, set)
	return nil
}

// unmarshalDeny reads a line of deny.
func (g *Gate) unmarshalDeny(d *caddyfile.Dispenser, lines optionLines) error {
	switch {
	case !d.NextArg():
		return d.Err("deny: expected what is denied; " + denySyntax)
	case d.Val() == "signin":
		return d.WrapErr(errDenySignin)
	case !slices.Contains(ruleKinds, d.Val()):
		return d.Errf("deny %s: expected user, group, email, email_domain or claim; %s", d.Val(), denySyntax)
	}
	rule, err := unmarshalRule(d, lines)
	if err == nil {
		g.rules().Deny = append(g.Rules.Deny, rule)
	}
	return err
}

// unmarshalRule reads the values of a rule, after its kind.
func unmarshalRule(d *caddyfile.Dispenser, lines optionLines) (GateRule, error) {
	r := GateRule{Kind: d.Val()}
	if r.Kind == string(gate.KindClaim) {
		if err := options.TextArg(d, &r.Claim); err != nil {
			return r, d.Err("claim: expected the name of a claim and its values; write: claim <name> <value>...")
		}
	}
	if err := options.TextArgs(d, &r.Values); err != nil {
		return r, err
	}
	lines.markEach(d, r.Kind, r.Values)
	_, err := r.rule()
	return r, options.WithLine(d, err)
}

// rules returns the gate's rules, which a Caddyfile fills.
func (g *Gate) rules() *GateRules {
	if g.Rules == nil {
		g.Rules = new(GateRules)
	}
	return g.Rules
}
