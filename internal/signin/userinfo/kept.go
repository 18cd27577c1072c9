package userinfo

import (
	"strconv"

	"github.com/caddy-sso/caddy-sso/session"
)

// Keep returns claims of a user by their names. read returns the value of a claim; nil if
// there is none, and false if it could not be asked for.
func Keep(names []string, read func(name string) (value any, asked bool)) session.Claims {
	var kept session.Claims
	for _, name := range names {
		value, asked := read(name)
		values, whole := texts(value)
		if asked && whole {
			kept = kept.With(name, values...)
		} else {
			kept = kept.Without(name)
		}
	}
	return kept
}

// texts returns the values of a claim, and whether it has a form that can be kept: a text,
// a number, true or false, or a list of these.
func texts(claim any) (values []string, whole bool) {
	if claim == nil {
		return nil, true
	}
	list, ok := claim.([]any)
	if !ok {
		list = []any{claim}
	}
	for _, entry := range list {
		switch v := entry.(type) {
		case string:
			values = append(values, v)
		case bool:
			values = append(values, strconv.FormatBool(v))
		case float64:
			if v > 1<<53 || v < -1<<53 { // the decoder may have rounded it
				return nil, false
			}
			values = append(values, strconv.FormatFloat(v, 'f', -1, 64))
		default:
			return nil, false
		}
	}
	return values, true
}
