package redis

import (
	"errors"
	"fmt"
	"slices"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/storage"
)

// errDown is what reads get at once, and writes until they are sent: of the
// server, or of the part of a cluster that keeps the key, no node answers as
// master.
var errDown = fmt.Errorf("%w: no node answers as master", storage.ErrAway)

// errWentDown is errDown for a call that has tried and waited already.
var errWentDown = errors.New("no node answers as master")

// An outage has the keys that no master answers for, as far as the watchdog knows.
// Nil: none. A call for such a key fails at once, and does not wait for its timeout.
// Calls for other keys go on.
type outage struct {
	served *[clusterSlots]bool // the slots that a master answers for; nil: none
}

// covers says whether a key is part of it.
func (o *outage) covers(client rueidis.Client, name string) bool {
	if o == nil || o.served == nil {
		return o != nil
	}
	get := client.B().Get().Key(name).Build() // rueidis knows the slot
	return !o.served[get.Slot()%clusterSlots]
}

// outageOf says what is away while these nodes answer as masters, so many may take
// a command, and so many are silent.
func (s *Store) outageOf(client rueidis.Client, masters []rueidis.Client, usable, silent int) *outage {
	switch {
	case usable == 0:
		return new(outage)
	case len(masters) == 0 || silent == 0 || client.Mode() != rueidis.ClientModeCluster:
		return nil
	}
	served, err := s.slotsOf(s.life, masters)
	if err != nil {
		return nil // they are asked, and may answer
	}
	if slices.Contains(served[:], false) {
		return &outage{served: served}
	}
	return nil // the silent one is a replica, or was replaced
}
