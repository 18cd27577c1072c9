package signinmethods

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
)

// ownSubject is the value of the option subject of a sign-in method.
const ownSubject = "own"

// ownSubjects reports whether the option is there, which has one value.
func ownSubjects(value string) (bool, error) {
	if value != "" && value != ownSubject {
		return false, fmt.Errorf("subject %q is unknown; expected own, or leave it out", value)
	}
	return value == ownSubject, nil
}

func subjectOption(d *caddyfile.Dispenser, to *string) error {
	return options.CheckedArg(d, to, options.ParsedBy(ownSubjects))
}

// CheckOwnSubjects refuses a second method with subject own: two of them could have
// two users of one subject.
func CheckOwnSubjects(methods []json.RawMessage) error {
	first := ""
	for _, raw := range methods {
		var method struct{ Method, ID, Subject string }
		if json.Unmarshal(raw, &method) != nil || method.Subject != ownSubject {
			continue // a module says itself what it cannot read
		}
		name := method.Method + " " + method.ID
		if first != "" {
			return fmt.Errorf("signin %s: signin %s has subject own already, and only one method can have it; leave it out here, and put {user.id} into a claim of the clients", name, first)
		}
		first = name
	}
	return nil
}
