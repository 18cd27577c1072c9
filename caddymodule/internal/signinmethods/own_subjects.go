package signinmethods

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
)

// ownSubject is the value of the option subject of a sign-in method.
const ownSubject = "own"

// ownSubjects says whether the option is there, which has one value.
func ownSubjects(value string) (bool, error) {
	if value != "" && value != ownSubject {
		return false, fmt.Errorf("subject %q is unknown; expected own, or leave it out", value)
	}
	return value == ownSubject, nil
}

func subjectOption(d *caddyfile.Dispenser, to *string) error {
	return options.CheckedArg(d, to, func(value string) error {
		_, err := ownSubjects(value)
		return err
	})
}

// checkNaming refuses a second way with subject own: two of them could mean two users
// by one subject.
func CheckOwnSubjects(methods []json.RawMessage) error {
	first := ""
	for _, raw := range methods {
		var method struct{ Method, ID, Subject string }
		if json.Unmarshal(raw, &method) != nil || method.Subject != ownSubject {
			continue // a module says itself what it cannot read
		}
		name := method.Method + " " + method.ID
		if first != "" {
			return fmt.Errorf("signin %s: subject own is there already, in signin %s, and only one way can say who users are; leave it out here, and let a claim of the clients have {user.id}", name, first)
		}
		first = name
	}
	return nil
}
