package redis

import (
	"context"
	"errors"

	"github.com/redis/rueidis"
)

const clusterSlots = 16384

// A slotRange is a range of slots of one master in a cluster.
type slotRange struct {
	first, last uint16
	owner       string // the master's ID
}

// askSlots asks a node of a cluster which master has which slots.
func askSlots(ctx context.Context, node rueidis.Client) ([]slotRange, error) {
	reply, err := node.Do(ctx, node.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return nil, err
	}
	ranges := make([]slotRange, len(reply))
	for i, r := range reply {
		if ranges[i], err = readSlots(r); err != nil {
			return nil, err
		}
	}
	return ranges, nil
}

// readSlots reads an entry of CLUSTER SLOTS: the first slot and the last, then the
// master's host, port and ID.
func readSlots(r rueidis.RedisMessage) (slotRange, error) {
	line, err := r.ToArray()
	if err != nil || len(line) < 3 {
		return slotRange{}, errSlots
	}
	first, err1 := line[0].AsInt64()
	last, err2 := line[1].AsInt64()
	node, err3 := line[2].ToArray()
	if errors.Join(err1, err2, err3) != nil || len(node) < 3 || first < 0 || last < first || last >= clusterSlots {
		return slotRange{}, errSlots
	}
	owner, err := node[2].ToString()
	return slotRange{uint16(first), uint16(last), owner}, err
}

var errSlots = errors.New("malformed answer to CLUSTER SLOTS")

// slotsOf returns the slots of a cluster that masters have, as the first of them says.
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
	ranges, err := askSlots(ctx, masters[0])
	if err != nil {
		return nil, err
	}
	served := new([clusterSlots]bool)
	for _, r := range ranges {
		for slot := int(r.first); theirs[r.owner] && slot <= int(r.last); slot++ {
			served[slot] = true
		}
	}
	return served, nil
}
