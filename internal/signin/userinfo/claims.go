// Package userinfo reads the data of a user from a provider, or from the operator's
// own server: groups, the URL of a picture, whether an e-mail address is verified,
// and when the account was created.
package userinfo

import (
	"net/url"
	"unicode"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// ambiguous is the result of a path that matches several claims.
type ambiguous struct{}

// Lookup finds a claim by its name, or by a path of names with dots between them.
// Names may have dots, too: the whole name is tried first. In a list, a path
// continues in each object. Lists in lists are ignored: a provider could send so many
// that each of them costs as much as everything in it.
func Lookup(within any, path string) any {
	switch v := within.(type) {
	case map[string]any:
		if found, there := v[path]; there {
			return found
		}
		var found any
		for i := range len(path) {
			if path[i] != '.' {
				continue
			}
			next := Lookup(v[path[:i]], path[i+1:])
			if next != nil && found != nil {
				return ambiguous{}
			}
			if next != nil {
				found = next
			}
		}
		return found
	case []any:
		var all []any
		for _, entry := range v {
			object, _ := entry.(map[string]any)
			switch found := Lookup(object, path).(type) {
			case nil:
			case []any:
				all = append(all, found...)
			default:
				all = append(all, found)
			}
		}
		if all == nil {
			return nil
		}
		return all
	}
	return nil
}

const MaxAvatar = 1 << 10

// Verified reads a claim that some providers write as text or as a number.
func Verified(claim any) bool {
	switch v := claim.(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "1"
	case float64:
		return v == 1
	}
	return false
}

// Avatar reads the address of a picture.
func Avatar(claim any) string {
	raw, _ := claim.(string)
	if len(raw) > MaxAvatar || !oauth.CleanText(raw) {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	return raw
}

// Excerpt shortens a text of another server for the log.
func Excerpt(s string) string {
	const most = 200
	clean := make([]rune, 0, most)
	for _, r := range s {
		if len(clean) == most {
			return string(clean) + "…"
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		clean = append(clean, r)
	}
	return string(clean)
}
