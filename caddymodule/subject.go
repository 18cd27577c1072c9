package caddymodule

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// own is the value of the option subject of a way to sign in.
const own = "own"

// ownSubjects says whether the option is there, which has one value.
func ownSubjects(value string) (bool, error) {
	if value != "" && value != own {
		return false, fmt.Errorf("subject %q is unknown; expected own, or leave it out", value)
	}
	return value == own, nil
}

func subjectOption(d *caddyfile.Dispenser, to *string) error {
	return checked(d, to, func(value string) error {
		_, err := ownSubjects(value)
		return err
	})
}

// checkNaming refuses a second way with subject own: two of them could mean two users
// by one subject.
func checkNaming(ways []json.RawMessage) error {
	first := ""
	for _, raw := range ways {
		var way struct{ Method, ID, Subject string }
		if json.Unmarshal(raw, &way) != nil || way.Subject != own {
			continue // a module says itself what it cannot read
		}
		name := way.Method + " " + way.ID
		if first != "" {
			return fmt.Errorf("signin %s: subject own is there already, in signin %s, and only one way can say who users are; leave it out here, and let a claim of the clients have {user.id}", name, first)
		}
		first = name
	}
	return nil
}
