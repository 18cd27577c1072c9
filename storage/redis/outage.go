package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/storage"
)

const clusterSlots = 16384

// errDown is what reads get at once, and writes until they are sent: of the
// server, or of the part of a cluster that keeps the key, no node answers as
// master.
var errDown = fmt.Errorf("%w: no node answers as master", storage.ErrAway)

// errWentDown is errDown for whoever has tried, and waited, already.
var errWentDown = errors.New("no node answers as master")

// An outage is what no master answers for, as far as the watchdog knows: nil is
// nothing. Whoever asks for such a key gets an error at once, and does not wait
// until the time is up; all others are asked as ever.
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

// slotsOf returns the slots of a cluster that masters keep, by the word of the
// first of them.
func (s *Store) slotsOf(ctx context.Context, masters []rueidis.Client) (*[clusterSlots]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	theirs := make(map[string]bool)
	for _, node := range masters {
		id, err := node.Do(ctx, node.B().ClusterMyid().Build()).ToString()
		if err != nil {
			return nil, err
		}
		theirs[id] = true
	}
	ranges, err := masters[0].Do(ctx, masters[0].B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return nil, err
	}
	served := new([clusterSlots]bool)
	for _, r := range ranges {
		first, last, owner, err := slotRange(r)
		if err != nil {
			return nil, err
		}
		for slot := first; theirs[owner] && slot <= last; slot++ {
			served[slot] = true
		}
	}
	return served, nil
}

// slotRange reads one line of CLUSTER SLOTS: the first slot and the last, then
// the master's host, port and ID.
func slotRange(r rueidis.RedisMessage) (first, last int64, owner string, err error) {
	line, err := r.ToArray()
	if err != nil || len(line) < 3 {
		return 0, 0, "", errSlots
	}
	first, err1 := line[0].AsInt64()
	last, err2 := line[1].AsInt64()
	node, err3 := line[2].ToArray()
	if errors.Join(err1, err2, err3) != nil || len(node) < 3 || first < 0 || last >= clusterSlots {
		return 0, 0, "", errSlots
	}
	owner, err = node[2].ToString()
	return first, last, owner, err
}

var errSlots = errors.New("malformed answer to CLUSTER SLOTS")
