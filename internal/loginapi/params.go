package loginapi

import (
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
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
// another parser could take the other one. Where something is wrong, it says all
// of that, and leaves those parameters out.
func parseParams(raw string, names []string) (params, *oauth.Error) {
	p := params{names: names}
	var wrong *oauth.Error
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		i, value, refusal := httpapi.Param(pair, names)
		switch {
		case i < 0:
		case refusal != nil:
			wrong = wrong.And(refusal)
		case p.there[i] && p.values[i] != value:
			wrong = wrong.And(oauth.InvalidParam(names[i], "is there more than once, with different values."))
		default:
			p.values[i], p.there[i] = value, true
		}
	}
	if wrong != nil {
		for _, e := range wrong.Params {
			i := slices.Index(names, e.Name)
			p.values[i], p.there[i] = "", false
		}
	}
	return p, wrong
}

// get returns the value of a parameter, "" where it is missing.
func (p *params) get(name string) string {
	return p.values[slices.Index(p.names, name)]
}

// has says whether a parameter is there, though perhaps empty.
func (p *params) has(name string) bool {
	return p.there[slices.Index(p.names, name)]
}

// require says which of the parameters are missing, or empty.
func (p *params) require(names ...string) *oauth.Error {
	var wrong *oauth.Error
	for _, name := range names {
		if p.get(name) == "" {
			wrong = wrong.And(oauth.MissingParam(name))
		}
	}
	return wrong
}

// flag reads a boolean: true and false in any case, 1 or 0. Missing and empty
// mean false (RFC 6749 section 3.1: a parameter without a value counts as
// omitted).
func (p *params) flag(name string) (bool, *oauth.Error) {
	switch value := p.get(name); {
	case strings.EqualFold(value, "true"), value == "1":
		return true, nil
	case strings.EqualFold(value, "false"), value == "0", value == "":
		return false, nil
	}
	return false, oauth.InvalidParam(name, "should be true or false.")
}

// serviceFlag is flag for what changes the pages, and no answer of the API: there
// what is no boolean counts as false.
func (p *params) serviceFlag(name string) bool {
	set, _ := p.flag(name)
	return set
}
