package redis

import (
	"context"

	"github.com/redis/rueidis"
)

// A role is what a node says that it is.
type role string

const (
	away    role = "" // it says nothing
	master  role = "master"
	replica role = "replica"
)

// askRole asks a node for its role, with the command that every connection
// begins with: unlike ROLE it is allowed to every user. What is no replica
// takes writes, whatever it calls that.
func askRole(ctx context.Context, node rueidis.Client) (role, error) {
	hello, err := node.Do(ctx, node.B().Arbitrary("HELLO", "3").Build()).AsMap()
	if err != nil {
		return away, err
	}
	said := hello["role"]
	if text, err := said.ToString(); err == nil && (text == string(replica) || text == "slave") {
		return replica, nil
	}
	return master, nil
}
