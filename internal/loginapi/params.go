package loginapi

import (
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// params are the parameters of a query or form that an endpoint knows. Others are
// ignored, as in the published API. It is an array, not a map, since every request
// fills one.
type params struct {
	names  []string
	values [maxNames]string
	there  [maxNames]bool
}

// maxNames is the largest number of parameters of any endpoint.
const maxNames = 14

// parseParams reads the named parameters. A parameter may be repeated with the same
// value, as real clients do. Two different values are an error, since another parser
// could use the other one. The error names all wrong parameters, which are left out
// of the result.
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

// get returns the value of a parameter; "" if it is missing.
func (p *params) get(name string) string {
	return p.values[slices.Index(p.names, name)]
}

// has reports whether a parameter is there. It may be empty.
func (p *params) has(name string) bool {
	return p.there[slices.Index(p.names, name)]
}

// require returns an error that names the parameters that are missing or empty.
func (p *params) require(names ...string) *oauth.Error {
	var wrong *oauth.Error
	for _, name := range names {
		if p.get(name) == "" {
			wrong = wrong.And(oauth.MissingParam(name))
		}
	}
	return wrong
}

// flag reads a boolean: true or false in any case, 1 or 0. A missing or empty
// parameter is false (RFC 6749 section 3.1: a parameter without a value counts as
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

// serviceFlag is flag for a parameter that changes only pages: a value that is no
// boolean is false.
func (p *params) serviceFlag(name string) bool {
	set, _ := p.flag(name)
	return set
}
