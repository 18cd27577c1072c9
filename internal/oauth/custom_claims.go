package oauth

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/session"
)

// A CustomClaim is an additional claim of a client's access tokens: a text with
// placeholders for data of the user.
type CustomClaim struct{ Name, Value string }

const (
	groupsPlaceholder = "{user.groups}" // by itself: a list of names
	maxCustomClaim    = 1 << 10         // bytes, of name and of value
)

// userPlaceholders are the placeholders that may be part of a text.
var userPlaceholders = []string{"{user.id}", "{user.name}", "{user.email}", "{user.avatar}", "{user.provider}"}

var anyPlaceholder = regexp.MustCompile(`\{[^{}]*\}`)

func (e CustomClaim) validate() error {
	switch {
	case e.Name == "" || len(e.Name) > maxCustomClaim || !CleanText(e.Name):
		return fmt.Errorf("claim %q: the name is empty, too long or has control characters", e.Name)
	case slices.Contains(reservedClaims, strings.ToLower(e.Name)):
		return fmt.Errorf("claim %s: the name is taken; these are: %s", e.Name, strings.Join(reservedClaims, ", "))
	case e.Value == "" || len(e.Value) > maxCustomClaim || !CleanText(e.Value):
		return fmt.Errorf("claim %s: the value is empty, too long or has control characters", e.Name)
	case e.Value == groupsPlaceholder:
		return nil
	}
	for _, p := range anyPlaceholder.FindAllString(e.Value, -1) {
		if !slices.Contains(userPlaceholders, p) {
			return fmt.Errorf("claim %s: %s is no placeholder for a text; expected %s, or %s alone, which is a list", e.Name, p, strings.Join(userPlaceholders, ", "), groupsPlaceholder)
		}
	}
	return nil
}

// UseAvatar reports whether a custom claim of some client has the user's picture.
func (cs *Clients) UseAvatar() bool {
	for _, c := range cs.byID {
		if slices.ContainsFunc(c.Claims, func(e CustomClaim) bool { return strings.Contains(e.Value, "{user.avatar}") }) {
			return true
		}
	}
	return false
}

// TellsEmail reports whether a custom claim of the client has the user's e-mail
// address. Then the client needs no scope for it.
func (c *Client) TellsEmail() bool {
	return slices.ContainsFunc(c.Claims, func(e CustomClaim) bool { return strings.Contains(e.Value, "{user.email}") })
}

// customClaims returns the custom claims of a client for a user, or without a user.
// Empty claims are left out.
func (c *Client) customClaims(u session.User, id, provider string) map[string]any {
	extra := make(map[string]any, len(c.Claims))
	// The text is scanned once, so that a placeholder in a user name is not replaced.
	fill := strings.NewReplacer("{user.id}", id, "{user.name}", u.Name, "{user.email}", u.Email, "{user.avatar}", u.Avatar, "{user.provider}", provider)
	for _, e := range c.Claims {
		switch {
		case u.Subject == "" && anyPlaceholder.MatchString(e.Value):
		case id == "" && strings.Contains(e.Value, "{user.id}"): // the rest of the text would name the same user for all
		case e.Value == groupsPlaceholder:
			extra[e.Name] = append([]string{}, u.Groups...)
		default:
			if text := fill.Replace(e.Value); text != "" {
				extra[e.Name] = text
			}
		}
	}
	return extra
}

// extendedClaims are claims with additional claims of other names.
type extendedClaims struct {
	Claims
	extra map[string]any
}

// MarshalJSON implements [json.Marshaler].
func (c extendedClaims) MarshalJSON() ([]byte, error) {
	own, err := json.Marshal(c.Claims)
	if err != nil || len(c.extra) == 0 {
		return own, err
	}
	more, err := json.Marshal(c.extra)
	if err != nil {
		return nil, err
	}
	return slices.Concat(own[:len(own)-1], []byte{','}, more[1:]), nil
}
