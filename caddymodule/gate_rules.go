package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/signin"
)

// GateRules say which signed-in users may pass a gate, beside its groups.
type GateRules struct {
	// All of these have to hold. Rules of one kind, and of one claim, are one list of
	// values.
	Require []GateRule `json:"require,omitempty"`

	// One rule of each of these sets has to hold.
	RequireAny [][]GateRule `json:"require_any,omitempty"`

	// None of these may hold. What such a rule needs and could not be read in full, denies.
	Deny []GateRule `json:"deny,omitempty"`
}

// GateRule holds for a user who has one of its values.
type GateRule struct {
	// What the rule is about: `user` (the name of a user of `signin local`, or a subject,
	// which is a UUID), `group`, `email`, `email_domain`, `claim`, or `signin` (the ID of a
	// sign-in method; not in `deny`).
	Kind string `json:"kind"`

	// The name of the claim, or a path such as `realm_access.roles`. Only of the kind
	// `claim`.
	Claim string `json:"claim,omitempty"`

	// The values of which the user needs one.
	Values []string `json:"values"`
}

func (r *GateRule) rule() (gate.Rule, error) {
	if r.Claim != "" && r.Kind != string(gate.KindClaim) {
		return gate.Rule{}, fmt.Errorf("%s: only a rule of the kind claim has the name of a claim", r.Kind)
	}
	return gate.NewRule(gate.Kind(r.Kind), r.Claim, r.Values)
}

// all returns all rules, of whatever part.
func (r *GateRules) all() []GateRule {
	if r == nil {
		return nil
	}
	return slices.Concat(append([][]GateRule{r.Deny, r.Require}, r.RequireAny...)...)
}

// groups returns the groups that rules name.
func (r *GateRules) groups() (names []string) {
	for _, rule := range r.all() {
		if rule.Kind == string(gate.KindGroup) {
			names = append(names, rule.Values...)
		}
	}
	return names
}

// parse makes the rules of a gate.
func (r *GateRules) parse() (rules gate.Rules, err error) {
	if r == nil {
		return rules, nil
	}
	if rules.Require, err = parseRules("require", r.Require); err != nil {
		return rules, err
	}
	for _, set := range r.RequireAny {
		parsed, err := parseRules("require any", set)
		if err != nil {
			return rules, err
		}
		if len(parsed) == 0 {
			return rules, fmt.Errorf("require any: expected at least one rule, such as: require any { group staff }")
		}
		rules.RequireAny = append(rules.RequireAny, parsed)
	}
	if rules.Deny, err = parseRules("deny", r.Deny); err != nil {
		return rules, err
	}
	for i := range rules.Deny {
		if rules.Deny[i].Kind() == gate.KindSignin {
			return rules, errDenySignin
		}
	}
	return rules, nil
}

var errDenySignin = errors.New("deny signin: a sign-in method cannot be denied; name those that are allowed, such as: require signin local")

func parseRules(part string, list []GateRule) (rules []gate.Rule, err error) {
	for i := range list {
		rule, err := list[i].rule()
		if err != nil {
			return nil, fmt.Errorf("%s %w", part, err)
		}
		rules = gate.Merge(rules, rule)
	}
	return rules, nil
}

// checkRules checks the names in the rules of a gate: sign-in methods and groups.
func (g *Gate) checkRules(known gateReferences, client *oauth.Client) error {
	if _, err := g.Rules.parse(); err != nil {
		return err
	}
	if err := checkMaxAge(g.MaxAge); err != nil {
		return &settingError{"max_age", err}
	}
	for _, r := range g.Rules.all() {
		for _, value := range r.Values {
			if err := g.checkRuleValue(r, value, known, client); err != nil {
				return &settingError{r.Kind + " " + value, err}
			}
		}
	}
	return nil
}

func (g *Gate) checkRuleValue(r GateRule, value string, known gateReferences, client *oauth.Client) error {
	switch {
	case r.Kind == string(gate.KindGroup):
		return known.groups.Add(value, "a rule of the gate of client "+g.Client)
	case r.Kind == string(gate.KindSignin):
		if !known.hasMethod(value) {
			return errUnknownMethod(value)
		}
		if len(client.Methods) > 0 && !slices.Contains(client.Methods, value) {
			return fmt.Errorf("require signin %s: client %s does not accept this sign-in method, so the rule never holds; add it to the client's setting signin, or remove it here", value, client.ID)
		}
	}
	return nil
}

// checkHolds refuses rules that can never hold, since no sign-in method of the gate's
// client has users who meet them.
func (g *Gate) checkHolds(rules gate.Rules) error {
	named, claims := false, false
	for _, method := range g.app.methods {
		if len(g.client.Methods) > 0 && !slices.Contains(g.client.Methods, method.ID()) {
			continue
		}
		_, isNamed := method.(signin.NameFinder)
		_, reads := method.(signin.ClaimReader)
		named, claims = named || isNamed, claims || reads
	}
	for i := range rules.Require {
		switch r := &rules.Require[i]; {
		case r.Kind() == gate.KindClaim && !claims:
			return fmt.Errorf("require %s: no sign-in method of client %s has claims, so the rule never holds; remove it, or add a provider: signin oidc", r.String(), g.Client)
		case r.OnlyNames() && !named:
			return fmt.Errorf("require %s: only users of signin local are known by name, and client %s does not accept them, so the rule never holds; name the user's subject, or use email", r.String(), g.Client)
		}
	}
	return nil
}

func checkMaxAge(age caddy.Duration) error {
	if age != 0 && time.Duration(age) < gate.ShortestMaxAge {
		return fmt.Errorf("max_age %s is too short; the shortest is %s, in which a sign-in and the clocks of servers fit", time.Duration(age), gate.ShortestMaxAge)
	}
	return nil
}
