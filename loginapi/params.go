package loginapi

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/caddy-sso/caddy-sso/oauth"
)

// Bounds on what a request may carry, in bytes.
const (
	maxQuery = 64 << 10
	maxParam = 16 << 10
	maxForm  = 64 << 10
)

// params are the parameters of a query or form that this API knows; others
// are ignored, as the hosted API ignores them.
type params map[string]string

// parseParams reads the named parameters. A parameter may be repeated with the
// same value, as real clients do; two different values are an error, since
// another parser could take the other one.
func parseParams(raw string, names map[string]bool) (params, *oauth.Error) {
	if len(raw) > maxQuery {
		return nil, badParam("The parameters are too long.")
	}
	p := make(params, len(names))
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !names[name] {
			continue
		}
		value, err = url.QueryUnescape(value)
		if err != nil || strings.Contains(pair, ";") {
			return nil, badParam(name + " is not URL-encoded.")
		}
		if len(value) > maxParam {
			return nil, badParam(fmt.Sprintf("%s is longer than %d bytes.", name, maxParam))
		}
		if !oauth.CleanText(value) {
			return nil, badParam(name + " has control characters or is not UTF-8.")
		}
		if other, repeated := p[name]; repeated && other != value {
			return nil, badParam(name + " is there more than once, with different values.")
		}
		p[name] = value
	}
	return p, nil
}

// bool reads a flag: true, false, 1 or 0; missing and empty mean false.
func (p params) bool(name string) (bool, *oauth.Error) {
	switch p[name] {
	case "true", "1":
		return true, nil
	case "false", "0", "":
		return false, nil
	}
	return false, badParam(name + " should be true or false.")
}

func badParam(description string) *oauth.Error {
	return &oauth.Error{Kind: oauth.InvalidRequest, Description: description}
}

func nameSet(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}
