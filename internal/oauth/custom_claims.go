package oauth

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/session"
)

// An CustomClaim is one that a client's access tokens have beyond those of the
// Login API: a text in which placeholders stand for what is known of the user.
type CustomClaim struct{ Name, Value string }

const (
	groupsPlaceholder = "{user.groups}" // alone: a list of names
	maxCustomClaim    = 1 << 10         // bytes, of name and of value
)

// userPlaceholders are those that may stand within a text.
var userPlaceholders = []string{"{user.id}", "{user.name}", "{user.email}", "{user.avatar}", "{user.provider}"}

var anyPlaceholder = regexp.MustCompile(`\{[^{}]*\}`)

// reservedClaims are those that mean something, here or to whoever verifies.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scp", "scope", "groups", "xsolla_login_project_id", "username", "email",
	"avatar", "provider", "id", "client_id", "gid", "sid", "license_product", "license_customer_account",
	"act", "may_act", "acr", "amr", "azp", "auth_time", "nonce", "at_hash", "c_hash", "s_hash", "cnf", "crit", "events",
}

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

// UseAvatar says whether a claim of some client has the user's picture.
func (cs *Clients) UseAvatar() bool {
	for _, c := range cs.byID {
		if slices.ContainsFunc(c.Claims, func(e CustomClaim) bool { return strings.Contains(e.Value, "{user.avatar}") }) {
			return true
		}
	}
	return false
}

// TellsEmail says whether a claim of the client has the user's e-mail address, for
// which it needs no scope then.
func (c *Client) TellsEmail() bool {
	return slices.ContainsFunc(c.Claims, func(e CustomClaim) bool { return strings.Contains(e.Value, "{user.email}") })
}

// customClaims are those of a client for a user, who may be nobody. What comes
// out empty is left out.
func (c *Client) customClaims(u session.User, id, provider string) map[string]any {
	extra := make(map[string]any, len(c.Claims))
	// Once over the text, so that no placeholder in a name is taken for one.
	fill := strings.NewReplacer("{user.id}", id, "{user.name}", u.Name, "{user.email}", u.Email, "{user.avatar}", u.Avatar, "{user.provider}", provider)
	for _, e := range c.Claims {
		switch {
		case u.Subject == "" && anyPlaceholder.MatchString(e.Value):
		case id == "" && strings.Contains(e.Value, "{user.id}"): // what is around it would be one user to whoever reads it
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

// extendedClaims are claims with others beside them, none of which has the name
// of one of these.
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
