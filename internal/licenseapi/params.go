package licenseapi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// Bounds on what a request may carry, in bytes.
const (
	maxQuery = 16 << 10
	maxParam = 4 << 10
)

// params are the parameters of a query.
type params map[string]string

// parseParams reads a query. As in the published schema, unknown parameters are an
// error. A parameter may be repeated with the same value. Two different values are an
// error, since another parser could use the other one. An empty value counts as
// missing (RFC 6749 section 3.1).
func parseParams(raw string, names ...string) (params, *refusal) {
	if len(raw) > maxQuery {
		return nil, invalid("The parameters are too long")
	}
	p := params{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !slices.Contains(names, name) {
			return nil, invalid("There is a parameter that is not one of [" + strings.Join(names, " ") + "]")
		}
		value, err = url.QueryUnescape(value)
		if err != nil || strings.Contains(pair, ";") {
			return nil, invalid(name + " is not URL-encoded")
		}
		if len(value) > maxParam {
			return nil, invalid(fmt.Sprintf("%s is longer than %d bytes", name, maxParam))
		}
		if !oauth.CleanText(value) {
			return nil, invalid(name + " has control characters or is not UTF-8")
		}
		if before, there := p[name]; there && before != value {
			return nil, invalid(name + " is there more than once, with different values")
		}
		p[name] = value
	}
	return p, nil
}

// require returns an error that names the missing parameters.
func (p params) require(names ...string) *refusal {
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return p[name] != "" })
	if len(missing) == 0 {
		return nil
	}
	return missingParams(missing...)
}

func missingParams(names ...string) *refusal {
	e := errMissing.with(errMissing.message + strings.Join(names, ", "))
	return &e
}

func invalid(message string) *refusal {
	e := errValidation.with(message)
	return &e
}
