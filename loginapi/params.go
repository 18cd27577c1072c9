package loginapi

import (
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/endpoint"
	"github.com/caddy-sso/caddy-sso/oauth"
)

// params are the parameters of a query or form that an endpoint knows; others
// are ignored, as the hosted API ignores them. It is an array, not a map, since
// each request fills one.
type params struct {
	names  []string
	values [maxNames]string
	there  [maxNames]bool
}

// maxNames is how many parameters the endpoint that knows the most knows.
const maxNames = 14

// parseParams reads the named parameters. A parameter may be repeated with the
// same value, as real clients do; two different values are an error, since
// another parser could take the other one.
func parseParams(raw string, names []string) (params, *oauth.Error) {
	p := params{names: names}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		i, value, refusal := endpoint.Param(pair, names)
		if refusal != nil {
			return p, refusal
		}
		if i < 0 {
			continue
		}
		if p.there[i] && p.values[i] != value {
			return p, oauth.Invalid(names[i] + " is there more than once, with different values.")
		}
		p.values[i], p.there[i] = value, true
	}
	return p, nil
}

// get returns the value of a parameter, "" where it is missing.
func (p *params) get(name string) string {
	return p.values[slices.Index(p.names, name)]
}

// has says whether a parameter is there, though perhaps empty.
func (p *params) has(name string) bool {
	return p.there[slices.Index(p.names, name)]
}

// flag reads a boolean: true, false, 1 or 0. Missing and empty mean false
// (RFC 6749 section 3.1: a parameter without a value counts as omitted).
func (p *params) flag(name string) (bool, *oauth.Error) {
	switch p.get(name) {
	case "true", "1":
		return true, nil
	case "false", "0", "":
		return false, nil
	}
	return false, oauth.Invalid(name + " should be true or false.")
}
