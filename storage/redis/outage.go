package redis

import (
	"errors"
	"fmt"
	"slices"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/storage"
)

// errDown is returned at once for reads, and for writes before they are sent, if no
// node answers as master: for the only server, or for the part of a cluster that has
// the key.
var errDown = fmt.Errorf("%w: no node answers as master", storage.ErrAway)

// errWentDown is errDown for a call that has tried and waited already.
var errWentDown = errors.New("no node answers as master")

// An outage has the keys that no master answers for, as far as the watchdog knows.
// Nil: none. A call for such a key fails at once, and does not wait for its timeout.
// Calls for other keys go on.
type outage struct {
	served *[clusterSlots]bool // the slots with a master that answers; nil: none
}

// covers reports whether a key is in the outage.
func (o *outage) covers(client rueidis.Client, name string) bool {
	if o == nil || o.served == nil {
		return o != nil
	}
	get := client.B().Get().Key(name).Build() // rueidis computes the slot
	return !o.served[get.Slot()%clusterSlots]
}

// outageOf returns the outage if masters are the nodes that answer as masters, usable
// is the number of nodes that may accept a command, and silent the number of nodes
// without an answer.
func (s *Store) outageOf(client rueidis.Client, masters []rueidis.Client, usable, silent int) *outage {
	switch {
	case usable == 0:
		return new(outage)
	case len(masters) == 0 || silent == 0 || client.Mode() != rueidis.ClientModeCluster:
		return nil
	}
	served, err := s.slotsOf(s.ctx, masters)
	if err != nil {
		return nil // commands are sent, and may succeed
	}
	if slices.Contains(served[:], false) {
		return &outage{served: served}
	}
	return nil // the silent node is a replica, or was replaced
}
